"""ufw's rules as data: spelled as `ufw show added` spells them, read back, compared. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from typing import Final, Literal, NamedTuple, TypeAlias

Action: TypeAlias = Literal["allow", "deny"]
# Of the comments of our rules: what has it not is somebody else's.
OURS: Final = "veloz: "
_TITLE: Final = "ufw "


class Rule(NamedTuple):
    """TCP that comes in. `source` is an address or a network, empty for everybody; `first`: before all others."""

    port: int
    source: str
    why: str
    action: Action = "allow"
    first: bool = False

    @property
    def arguments(self) -> str:
        """As `ufw show added` prints it, without the comment."""
        if not self.source:
            return f"{self.action} {self.port}/tcp"
        return f"{self.action} from {self.source} to any port {self.port} proto tcp"

    @property
    def words(self) -> str:
        return f"{self.action} {self.port}/tcp from {self.source or 'everybody'}: {self.why}"


class Added(NamedTuple):
    """A line of `ufw show added`: what ufw was told, and the comment."""

    arguments: str
    comment: str = ""

    @property
    def ours(self) -> bool:
        return self.comment.startswith(OURS)

    @property
    def traffic(self) -> str:
        """Whatever is done to it: two rules for the same cannot be."""
        return self.arguments.partition(" ")[2]

    @property
    def refuses(self) -> bool:
        return self.arguments.startswith(("deny ", "reject "))

    @property
    def limits(self) -> bool:
        return self.arguments.startswith("limit ")

    @property
    def command(self) -> str:
        """The same again."""
        return f"ufw {self.arguments}" + (f" comment {shlex.quote(self.comment)}" if self.comment else "")


class Change(NamedTuple):
    """Something to do to a firewall: for a person, and for the host's shell."""

    words: str
    command: str


class Step(NamedTuple):
    """A rule to add. `instead` is the one for the same traffic that stands in its way: ufw skips or replaces without a word."""

    rule: Rule
    instead: Added | None = None

    @property
    def change(self) -> Change:
        # ufw does not move a rule that it has.
        gone = self.instead.arguments if self.instead else self.rule.arguments if self.rule.first else ""
        before = f"ufw delete {gone} >/dev/null 2>&1 || true; " if gone else ""
        words = f"+ {self.rule.words}" + (f", instead of: ufw {gone}" if self.instead else "")
        how = "prepend " if self.rule.first else ""
        return Change(words, f"{before}ufw {how}{self.rule.arguments} comment {shlex.quote(OURS + self.rule.why)}")


class Difference(NamedTuple):
    """`foreign` are rules of somebody else that stay; `refusing` those of them that refuse what the description opens."""

    add: tuple[Step, ...]
    remove: tuple[Added, ...]
    foreign: tuple[Added, ...]
    refusing: tuple[Added, ...]

    @property
    def changes(self) -> tuple[Change, ...]:
        """In an order that never closes what is to stay open."""
        # Each is put before the last one, so the first goes last.
        ahead = (step.change for step in reversed(self.add) if step.rule.first)
        behind = (step.change for step in self.add if not step.rule.first)
        removed = (
            Change(f"- {line.arguments}: {line.comment}", f"ufw delete {line.arguments}") for line in self.remove
        )
        return (*ahead, *behind, *removed)


def parse(text: str) -> tuple[Added, ...]:
    """Of `ufw show added`; lines that are no rules are passed over."""
    return tuple(_line(line) for line in map(str.strip, text.splitlines()) if line.startswith(_TITLE))


def difference(wanted: Sequence[Rule], added: Sequence[Added], *, again: bool = False) -> Difference:
    """What to add and to remove. A rule that somebody else has added already is theirs, and is not added.

    `again`: also those that are there, for a family of addresses that ufw had left out.
    """
    have = {line.traffic: line for line in added}
    late = _late(added)
    add: list[Step] = []
    refusing: list[Added] = []
    for rule in wanted:
        line = have.get(Added(rule.arguments).traffic)
        if line and line.arguments != rule.arguments:
            # The way in comes first; what else somebody refuses or limits is theirs to say.
            if rule.first or line.ours:
                add.append(Step(rule, line))
            elif line.refuses:
                refusing.append(line)
        elif again or not line or (rule.first and line in late):
            add.append(Step(rule))
    instead = {step.instead for step in add}
    keep = {rule.arguments for rule in wanted}
    return Difference(
        add=tuple(add),
        remove=tuple(line for line in added if line.ours and line.arguments not in keep and line not in instead),
        foreign=tuple(line for line in added if not line.ours and line not in instead),
        refusing=tuple(refusing),
    )


def _line(line: str) -> Added:
    arguments, _, comment = line.removeprefix(_TITLE).partition(" comment ")
    return Added(arguments, " ".join(shlex.split(comment)) if comment else "")


def _late(added: Sequence[Added]) -> frozenset[Added]:
    """Those behind a rule that may refuse what they allow."""
    first = next((at for at, line in enumerate(added) if line.refuses or line.limits), len(added))
    return frozenset(added[first + 1 :])
