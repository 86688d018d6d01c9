"""Texts of the files that make a plan outlast a reboot."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from tuning import interrupt_unit, sources, time_daemons
from tuning.choices import Choices
from tuning.clock import MOST_SECONDS
from tuning.demand import Demand
from tuning.machine import (
    CHRONY_FILE,
    JOURNAL_FILE,
    LIMITS_FILE,
    MODULES_FILE,
    SYSCTL_FILE,
    TMPFILES_FILE,
    Machine,
)
from tuning.planned import Planned
from tuning.topology import Cores

_HEAD: Final = "# Written by VeloZ's `make tune`; `make untune` takes it away. Changes here are overwritten.\n"
# journald(5): the sum of all, room left for others, and how long.
_JOURNAL: Final = """[Journal]
SystemMaxUse=1G
SystemKeepFree=1G
SystemMaxFileSize=64M
MaxRetentionSec=1month
RateLimitIntervalSec=30s
RateLimitBurst=10000
"""
# chrony.conf(5): a change of the clock by more is logged; its memory is never on disk.
_CHRONY: Final = f"logchange {MOST_SECONDS:g}\n"
_CHRONY_LOCKED: Final = "lock_all\n"


def files(
    settings: Sequence[Planned], machine: Machine, demand: Demand, choices: Choices, cores: Cores
) -> dict[str, str]:
    """By path; only those that have something to say."""
    done = [one for one in settings if one.action == "set"]
    texts = {
        MODULES_FILE: "" if machine.container else "".join(f"{one.setting.key}\n" for one in settings if _loaded(one)),
        SYSCTL_FILE: "".join(_sysctls(done)),
        TMPFILES_FILE: "".join(_writes(done)),
        JOURNAL_FILE: _JOURNAL,
        LIMITS_FILE: _limits(demand),
        CHRONY_FILE: _chrony(choices) if time_daemons.by_chrony(machine, choices) else "",
        **(interrupt_unit.files(settings, machine, cores, sources.IRQ) if choices.level == "low_latency" else {}),
    }
    return {path: _HEAD + text for path, text in texts.items() if text}


def _loaded(planned: Planned) -> bool:
    """One that was there already may be there by chance: the values need it before they are set at boot."""
    return planned.setting.kind == "module" and planned.action in {"set", "keep"}


def _sysctls(done: Sequence[Planned]) -> Iterator[str]:
    for one in done:
        if one.setting.kind == "sysctl":
            yield f"\n# {one.setting.reason}\n# {one.setting.source}\n{one.setting.key} = {one.want}\n"


def _writes(done: Sequence[Planned]) -> Iterator[str]:
    """tmpfiles.d(5): `w` writes to a file that is there, and to no other."""
    for one in done:
        if one.setting.kind == "sysfs" and not interrupt_unit.bound_to_boot(one.setting.key):
            yield f"\n# {one.setting.reason}\n# {one.setting.source}\nw {one.setting.key} - - - - {one.want}\n"


def _chrony(choices: Choices) -> str:
    return _CHRONY + (_CHRONY_LOCKED if choices.level == "low_latency" else "")


def _limits(demand: Demand) -> str:
    """limits.conf(5): of sessions; services have LimitNOFILE."""
    return f"veloz soft nofile {demand.open_files}\nveloz hard nofile {demand.open_files}\n"
