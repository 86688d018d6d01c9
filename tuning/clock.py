"""How far a host's clock may be off, and what those say who keep it. Pure."""

from __future__ import annotations

import re
from typing import Final, NamedTuple

# What is more is logged by chrony, and told by `verify`.
MOST_SECONDS: Final = 0.01
REASON: Final = (
    "Gateways stamp orders and events, and end orders, by their own clocks: on several hosts these agree as well as a message "
    "takes. An NTP server in the same country gives as much; regulated venues are asked for 1 ms (EU) and 50 ms (US)."
)
SOURCE: Final = "chrony.conf(5), logchange; Regulation (EU) 2017/574, annex, table 1; FINRA rule 4590"

_FIELDS: Final = 14  # of `chronyc -c tracking`
_STRATUM, _OFFSET, _ROOT_DELAY, _ROOT_DISPERSION, _LEAP = 2, 4, 10, 11, 13
_UNITS: Final = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "min": 60.0, "h": 3600.0}


class Clock(NamedTuple):
    """`offset`: seconds, None while it is not known; `stratum`: 0 without a server; `bound`: what the offset may be wrong by."""

    keeper: str
    offset: float | None
    stratum: int
    bound: float = 0.0

    @property
    def good(self) -> bool:
        return self.offset is not None and abs(self.offset) <= MOST_SECONDS

    def __str__(self) -> str:
        if self.offset is None:
            return "not synchronised"
        return f"{abs(self.offset):.6f} s off, stratum {self.stratum}"


def of_chrony(text: str) -> Clock | None:
    """Of `chronyc -c tracking`; None when no daemon answers.

    chronyc(1): the clock is off by no more than its offset, the root's dispersion and half of the root's delay together.
    """
    fields = text.strip().split(",")
    if len(fields) != _FIELDS:
        return None
    stratum = int(fields[_STRATUM])
    if not stratum or fields[_LEAP] == "Not synchronised":
        return Clock("chrony", None, 0)
    bound = float(fields[_ROOT_DISPERSION]) + float(fields[_ROOT_DELAY]) / 2
    return Clock("chrony", float(fields[_OFFSET]), stratum, bound)


def of_timesyncd(text: str) -> Clock | None:
    """Of `timedatectl timesync-status`; None when systemd-timesyncd does not answer."""
    said = dict(line.strip().partition(": ")[::2] for line in text.splitlines())
    if "Server" not in said:
        return None
    if "Offset" not in said:
        return Clock("systemd-timesyncd", None, 0)
    return Clock("systemd-timesyncd", _seconds(said["Offset"]), int(said.get("Stratum", "0")))


def _seconds(text: str) -> float:
    """Of `-1min 2.5s` or `+316us`, as systemd.time(7) has it."""
    parts = re.findall(r"([\d.]+)\s*(us|ms|min|s|h)", text)
    return (-1 if text.startswith("-") else 1) * sum(float(number) * _UNITS[unit] for number, unit in parts)
