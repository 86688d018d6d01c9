"""ufw's rules as data: spelled as `ufw show added` spells them, read back, compared. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
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
    def command(self) -> str:
        """The same again."""
        return f"ufw {self.arguments}" + (f" comment {shlex.quote(self.comment)}" if self.comment else "")


class Change(NamedTuple):
    """Something to do to a firewall: for a person, and for the host's shell."""

    words: str
    command: str


class Difference(NamedTuple):
    """`foreign` are rules of somebody else: they stay."""

    add: tuple[Rule, ...]
    remove: tuple[Added, ...]
    foreign: tuple[Added, ...]

    @property
    def changes(self) -> tuple[Change, ...]:
        """In an order that never closes what is to stay open."""
        ahead = [rule for rule in self.add if rule.first]
        behind = [rule for rule in self.add if not rule.first]
        # Each is put before the last one, so the first goes last. ufw does not move a rule that it has.
        moved = (
            Change(f"+ {rule.words}", f"ufw delete {rule.arguments} >/dev/null 2>&1 || true; {_told('prepend ', rule)}")
            for rule in reversed(ahead)
        )
        appended = (Change(f"+ {rule.words}", _told("", rule)) for rule in behind)
        removed = (
            Change(f"- {line.arguments}: {line.comment}", f"ufw delete {line.arguments}") for line in self.remove
        )
        return (*moved, *appended, *removed)


def parse(text: str) -> tuple[Added, ...]:
    """Of `ufw show added`; lines that are no rules are passed over."""
    return tuple(_line(line) for line in map(str.strip, text.splitlines()) if line.startswith(_TITLE))


def difference(wanted: Sequence[Rule], added: Sequence[Added], *, again: bool = False) -> Difference:
    """What to add and to remove. A rule that somebody else has added already is theirs, and is not added.

    `again`: also those that are there, for a family of addresses that ufw had left out.
    """
    have = {line.arguments for line in added}
    late = _late(added)
    add = tuple(
        rule for rule in wanted if again or rule.arguments not in have or (rule.first and rule.arguments in late)
    )
    keep = {rule.arguments for rule in wanted}
    return Difference(
        add=add,
        remove=tuple(line for line in added if line.ours and line.arguments not in keep),
        foreign=tuple(line for line in added if not line.ours),
    )


def _line(line: str) -> Added:
    arguments, _, comment = line.removeprefix(_TITLE).partition(" comment ")
    return Added(arguments, " ".join(shlex.split(comment)) if comment else "")


def _late(added: Iterable[Added]) -> frozenset[str]:
    """Those behind a rule that may refuse what they allow."""
    lines = list(added)
    refusing = [at for at, line in enumerate(lines) if not line.arguments.startswith(("allow ", "route "))]
    return frozenset(line.arguments for line in lines[refusing[0] + 1 :]) if refusing else frozenset()


def _told(how: str, rule: Rule) -> str:
    return f"ufw {how}{rule.arguments} comment {shlex.quote(OURS + rule.why)}"
