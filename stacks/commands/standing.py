"""How the parts of a deployment stand: containers or pods, as their target sees them. Pure."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Literal, NamedTuple, TypeAlias

from stacks.spec import Role
from stacks.watched import Said

# starting: it has not been asked often enough yet; unwell: running, and its health check fails; down: not running.
State: TypeAlias = Literal["well", "starting", "unwell", "down"]
# One that restarted is believed when it has been up for so long.
STEADY_SECONDS: Final = 60.0


class Part(NamedTuple):
    """`why` says more of a state that is not well; `age` is of its process, in seconds; `said` a balancer's last word."""

    name: str
    role: Role
    state: State
    why: str = ""
    restarts: int = 0
    age: float = 0.0
    said: Said | None = None


@dataclass
class Watch:
    """Looks at parts again and again, and says what is not as it should be yet. `digest`: of what balancers are to run."""

    wanted: Collection[str]
    digest: str = ""
    _steady_since: dict[tuple[str, int], float] = field(default_factory=dict)

    def wrong(self, parts: Sequence[Part], now: float) -> list[str]:
        """A sentence for each, none when all is well. `now`: seconds of a clock that does not jump."""
        there = {part.name for part in parts}
        found = [f"{name} is not there" for name in self.wanted if name not in there]
        return found + [said for part in parts if (said := self._wrong(part, now))]

    def _wrong(self, part: Part, now: float) -> str:
        if part.state != "well":
            return describe(part)
        since = self._steady_since.setdefault((part.name, part.restarts), now)
        if part.restarts and part.age < STEADY_SECONDS and now - since < STEADY_SECONDS:
            return f"{part.name} has restarted ({part.restarts} so far), the last time {part.age:.0f} s ago"
        if self.digest and part.said and part.said != ("runs", self.digest):
            doing = (
                "refuses its new configuration"
                if part.said.verdict == "refuses"
                else "has not taken its new configuration"
            )
            return f"{part.name} {doing} and goes on with an older one"
        return ""


def describe(part: Part) -> str:
    words: Mapping[State, str] = {
        "well": "is well",
        "starting": "is starting",
        "unwell": "fails its health check",
        "down": "does not run",
    }
    restarts = f", {part.restarts} restarts" if part.restarts else ""
    return f"{part.name} {words[part.state]}{f' ({part.why})' if part.why else ''}{restarts}"


def outage(chain: Sequence[Part], changing: Collection[str]) -> str:
    """The gateway whose replacement, one after the other in this order, leaves none that serves; empty when none does.

    The order stops at the first that does not become well, so whoever came before serves. One alone has nobody beside it.
    """
    if len(chain) == 1:
        return ""
    serving = {part.name for part in chain if part.state == "well"}
    for part in chain:
        if part.name in changing:
            if serving == {part.name}:
                return part.name
            serving.add(part.name)
    return ""
