"""Settings of the hardware: clock rates, sleep states, and which CPUs answer the network. None in containers."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Final

from tuning import sources
from tuning.machine import Machine
from tuning.profile import Setting
from tuning.rules import ports
from tuning.topology import Cores, cpu_list, mask

_CPUS: Final = "/sys/devices/system/cpu"
_LONGEST_WAKE_US: Final = 10
_DEFAULT_IRQ: Final = "/proc/irq/default_smp_affinity"


def settings(machine: Machine, cores: Cores) -> Iterator[Setting]:
    """Of a host with engines."""
    if machine.container or not cores.engine:
        return
    yield from _governors(machine, cores)
    if not cores.shared:
        yield from _sleep(machine, cores)
        if not machine.irqbalance:
            yield from _interrupts(machine, cores)
        yield from _receive(machine, cores)


def missing(machine: Machine, cores: Cores) -> Iterator[tuple[Setting, str]]:
    """What would be set elsewhere, with the reason why not here."""
    if not cores.engine:
        return
    for setting, pattern in (
        (_governor(f"{_CPUS}/cpu*/cpufreq/scaling_governor"), r".*/scaling_governor"),
        (_state(f"{_CPUS}/cpu*/cpuidle/state*/disable", _LONGEST_WAKE_US), r".*/cpuidle/.*"),
        (_irq("/proc/irq/*/smp_affinity_list", cpu_list(cores.housekeeping)), r".*/smp_affinity_list"),
    ):
        if machine.container:
            yield setting, f"it is the machine's, not this {machine.container} container's"
        elif not any(re.fullmatch(pattern, path) for path in machine.sysfs):
            yield setting, "the hardware, or what it is virtualised by, shows none"
        elif cores.shared and not setting.key.endswith("scaling_governor"):
            yield setting, cores.why
        elif machine.irqbalance and setting.key.endswith("smp_affinity_list"):
            yield setting, _balanced(cores)


def _balanced(cores: Cores) -> str:
    """irqbalance(1), --interval: it places interrupts anew every 10 s."""
    return (
        "irqbalance, which is active or enabled, would undo it within 10 s: systemctl disable --now irqbalance, then make tune; "
        f"or keep it away from engines itself: IRQBALANCE_BANNED_CPULIST={cpu_list(cores.engine)} in /etc/default/irqbalance, "
        "then systemctl restart irqbalance"
    )


def _governors(machine: Machine, cores: Cores) -> Iterator[Setting]:
    for cpu in sorted({*cores.engine, *cores.gateway}):
        path = f"{_CPUS}/cpu{cpu}/cpufreq/scaling_governor"
        offered = machine.sysfs.get(path.replace("scaling_governor", "scaling_available_governors"), "performance")
        if path in machine.sysfs and "performance" in offered.split():
            yield _governor(path)


def _governor(path: str) -> Setting:
    return Setting(
        kind="sysfs",
        key=path,
        value="performance",
        rule="exactly",
        reason="An order after a quiet second does not meet a slow clock that has to rise first.",
        source=sources.CPUFREQ,
    )


def _sleep(machine: Machine, cores: Cores) -> Iterator[Setting]:
    for path, latency in sorted(machine.sysfs.items()):
        found = re.fullmatch(rf"{_CPUS}/cpu(\d+)/cpuidle/state\d+/latency", path)
        switch = path.replace("/latency", "/disable")
        if not found or int(found[1]) not in cores.engine or switch not in machine.sysfs:
            continue
        if int(latency) > _LONGEST_WAKE_US:
            yield _state(switch, int(latency))


def _state(path: str, latency: int) -> Setting:
    return Setting(
        kind="sysfs",
        key=path,
        value="1",
        rule="exactly",
        reason=f"An engine's core does not sleep so deep that it takes {latency} µs to wake.",
        source=sources.CPUIDLE,
    )


def _interrupts(machine: Machine, cores: Cores) -> Iterator[Setting]:
    """Away from the engines: only those that may go there now."""
    here = cpu_list({*cores.housekeeping, *cores.gateway})
    for irq in sorted({irq for interface in machine.interfaces for irq in interface.irqs}):
        path = f"/proc/irq/{irq}/smp_affinity_list"
        if set(ports(machine.sysfs.get(path, ""))) & set(cores.engine):
            yield _irq(path, here)
    if _DEFAULT_IRQ in machine.sysfs:
        yield _irq(_DEFAULT_IRQ, mask({*cores.housekeeping, *cores.gateway}, machine.sysfs[_DEFAULT_IRQ]))


def _irq(path: str, value: str) -> Setting:
    return Setting(
        kind="sysfs",
        key=path,
        value=value,
        rule="exactly",
        reason="The network card does not interrupt an engine; its packets are for gateways.",
        source=sources.IRQ,
    )


def _receive(machine: Machine, cores: Cores) -> Iterator[Setting]:
    """Of cards with one queue: those with several spread by themselves."""
    for interface in machine.interfaces:
        path = f"/sys/class/net/{interface.name}/queues/rx-0/rps_cpus"
        if interface.rx == 1 and interface.irqs and path in machine.sysfs:
            yield Setting(
                kind="sysfs",
                key=path,
                value=mask({*cores.housekeeping, *cores.gateway}, machine.sysfs[path]),
                rule="exactly",
                reason="One queue's packets are spread over all CPUs but the engines'.",
                source=sources.SCALING,
            )
