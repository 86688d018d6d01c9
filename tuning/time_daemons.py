"""Who keeps a host's clock, and whether it is to be chrony."""

from __future__ import annotations

import re
from typing import Final

from tuning.choices import Choices
from tuning.machine import Machine

CHRONY: Final = "chrony"
# systemd's units, as patterns of systemctl's, of every daemon that disciplines a clock.
UNITS: Final = ("chrony", "chronyd", "systemd-timesyncd", "ntp", "ntpd", "ntpsec", "openntpd", "phc2sys*", "timemaster")
# Packages that may go where chrony comes: Debian has one of them at a time.
REPLACED: Final = frozenset({"systemd-timesyncd"})
_SIMPLE: Final = "systemd-timesyncd"


def packages(machine: Machine, choices: Choices) -> dict[str, str]:
    """Names, each with the reason. A container's clock is the machine's; what a person chose over Debian's default stays."""
    if machine.container or _by_chrony(machine) or machine.clocks - {_SIMPLE}:
        return {}
    if not machine.clocks:
        return {CHRONY: "nothing keeps this host's clock"}
    if choices.level != "low_latency":
        return {}
    return {
        CHRONY: f"{_SIMPLE} asks one server and steps the clock; chrony weighs several, slews, and says how far it is off"
    }


def by_chrony(machine: Machine, choices: Choices) -> bool:
    """Whether chrony keeps the clock, or will."""
    return not machine.container and (_by_chrony(machine) or CHRONY in packages(machine, choices))


def _by_chrony(machine: Machine) -> bool:
    return any(re.fullmatch("chronyd?", name) for name in machine.clocks)
