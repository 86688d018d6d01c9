"""From roles, machine, demand and choices to what is set, kept and refused."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Final

from tuning import computed, hardware, time_daemons
from tuning.choices import Choices
from tuning.compose import Composed, beside, compose
from tuning.deciding import decide, loadable
from tuning.demand import Demand
from tuning.errors import TuningError
from tuning.files import files
from tuning.machine import Machine
from tuning.planned import Action, Plan, Planned
from tuning.profile import Role, Setting
from tuning.topology import Cores, split

__all__ = ["Action", "Plan", "Planned", "TuningError", "cores_of", "plan"]

# Huge pages are taken from everything else, and given to nobody else.
_HUGE_SHARE: Final = (3, 4)
_ORDER: Final = ("module", "sysctl", "sysfs")


def plan(roles: Sequence[Role], machine: Machine, demand: Demand, choices: Choices) -> Plan:
    """`machine`: as it was before it was first tuned. Raises TuningError with all conflicts."""
    cores = cores_of(roles, machine, demand)
    found = (*computed.settings(machine, demand, choices, cores), *_hardware(machine, choices, cores))
    own = Composed({(setting.kind, setting.key): setting for setting in found}, ())
    composed = beside((compose(choices.level, roles), own))
    if problems := (*map(str, composed.conflicts), *_too_much(machine, demand, choices)):
        raise TuningError(problems)
    ordered = sorted(composed.settings.values(), key=lambda setting: _ORDER.index(setting.kind))
    loading = frozenset(setting.key for setting in ordered if setting.kind == "module" and loadable(machine))
    settings = [decide(setting, machine, choices, loading) for setting in ordered]
    if choices.level == "low_latency":
        settings.extend(_unavailable(machine, cores))
    return Plan(
        tuple(settings), files(settings, machine, demand, choices, cores), time_daemons.packages(machine, choices)
    )


def cores_of(roles: Sequence[Role], machine: Machine, demand: Demand) -> Cores:
    """How the machine's CPUs are split."""
    runs = {"gateway", "engine"} & set(roles)
    return split(machine.cpus, demand.gateways if runs else 0)


def _hardware(machine: Machine, choices: Choices, cores: Cores) -> Iterator[Setting]:
    if choices.level == "low_latency":
        yield from hardware.settings(machine, cores)


def _unavailable(machine: Machine, cores: Cores) -> Iterator[Planned]:
    for setting, why in hardware.missing(machine, cores):
        yield Planned(setting, setting.value, None, "unavailable", why)


def _too_much(machine: Machine, demand: Demand, choices: Choices) -> Iterator[str]:
    over, under = _HUGE_SHARE
    wanted = computed.huge_pages(demand, choices) * computed.HUGE_PAGE_KIB
    most = machine.memory_kib * over // under
    if wanted > most:
        yield (
            f"{computed.HUGE_PAGES}: {wanted // 1024} MiB of huge pages are asked for; at most 3/4 of memory, "
            f"{most // 1024} MiB, may be; ask for fewer (huge_pages, or PostgreSQL's shared buffers)"
        )
