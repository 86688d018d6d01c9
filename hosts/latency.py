"""What tuning did, measured: round trips and new connections on the host's loopback, before and after."""

from __future__ import annotations

from pathlib import Path
from statistics import median
from typing import Final

import msgspec
from pyinfra.api import StringCommand
from pyinfra.api.host import Host

from stacks.commands.output import Output

_PROBE: Final = Path(__file__).with_name("latency_probe.py")
_ROWS: Final = (
    ("p50", "round trip, median", "µs"),
    ("p99", "round trip, 99 %", "µs"),
    ("p99.9", "round trip, 99.9 %", "µs"),
    ("churn", "new connections", "1/s"),
)


class Figures(msgspec.Struct, frozen=True, rename={"p999": "p99.9"}):
    """Of every round: microseconds of a round trip at three percentiles, and connections a second."""

    p50: tuple[float, ...]
    p99: tuple[float, ...]
    p999: tuple[float, ...]
    churn: tuple[float, ...]

    def of(self, name: str) -> tuple[float, ...]:
        return {"p50": self.p50, "p99": self.p99, "p99.9": self.p999, "churn": self.churn}[name]


class Change(msgspec.Struct, frozen=True):
    """A figure before and after: the middle round of each, and whether the rounds of the two lie apart."""

    what: str
    unit: str
    before: float
    after: float
    apart: bool

    @property
    def percent(self) -> float:
        return 100 * (self.after - self.before) / self.before if self.before else 0.0

    @property
    def words(self) -> str:
        return f"{self.percent:+.0f} %" if self.apart else f"{self.percent:+.0f} %, within the rounds' spread"


def measure(host: Host) -> Figures | str:
    """Of a host (4 s), or why there are none."""
    command = StringCommand("python3", "-")
    done, said = host.run_shell_command(command, _stdin=_PROBE.read_text(encoding="utf-8"))
    if not done:
        last = (said.stderr_lines or said.stdout_lines or ["no word"])[-1]
        return "python3 is not there" if "not found" in last else f"the measurement failed: {last}"
    try:
        return msgspec.json.decode("\n".join(said.stdout_lines), type=Figures)
    except msgspec.MsgspecError as error:
        return f"the measurement said something else than figures: {error}"


def compare(before: Figures, after: Figures) -> tuple[Change, ...]:
    def change(name: str, what: str, unit: str) -> Change:
        old, new = before.of(name), after.of(name)
        apart = max(new) < min(old) or min(new) > max(old)
        return Change(what, unit, round(median(old), 1), round(median(new), 1), apart)

    return tuple(change(*row) for row in _ROWS)


def show(before: Figures | str, after: Figures | str, output: Output) -> list[dict[str, object]]:
    """A table for a person; the same as plain data. Where there are no figures: says why."""
    if isinstance(before, str) or isinstance(after, str):
        why = before if isinstance(before, str) else after
        output.say(f"latency not measured: {why}", "yellow")
        return []
    changes = compare(before, after)
    rows = [(one.what, f"{one.before:g} {one.unit}", f"{one.after:g} {one.unit}", one.words) for one in changes]
    output.table(("on loopback", "before", "after", "change"), rows)
    return [msgspec.structs.asdict(one) | {"percent": round(one.percent, 1)} for one in changes]
