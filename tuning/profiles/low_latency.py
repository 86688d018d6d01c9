"""Fewer pauses, for more power and less throughput."""

from __future__ import annotations

from typing import Final

from tuning import sources
from tuning.profile import Profile, Setting

LOW_LATENCY: Final = Profile(
    name="low_latency",
    includes=("network",),
    settings=(
        Setting(
            key="vm.swappiness",
            value="1",
            rule="at_most",
            reason="A page that was swapped out costs milliseconds when an order needs it.",
            source=sources.VM_SYSCTL,
        ),
        Setting(
            key="vm.stat_interval",
            value="10",
            reason="Counters of memory are folded every 10 s: each time every CPU is interrupted for it.",
            source=sources.VM_SYSCTL,
        ),
        Setting(
            key="vm.compaction_proactiveness",
            value="0",
            rule="at_most",
            reason="Memory is not compacted in advance: moving pages stalls whoever uses them.",
            source=sources.VM_SYSCTL,
        ),
        Setting(
            key="kernel.numa_balancing",
            value="0",
            rule="exactly",
            reason="Pages are not unmapped to learn who uses them: the engine is placed, and each such fault is a pause.",
            source=sources.KERNEL_SYSCTL,
        ),
        Setting(
            key="kernel.sched_autogroup_enabled",
            value="0",
            rule="exactly",
            reason="Work of a login session does not count as much as an engine, however many processes it has.",
            source="sched(7), the autogroup feature",
        ),
        Setting(
            key="net.core.netdev_budget",
            value="600",
            reason="A poll of the network card takes up to 600 packets before it yields, so a burst needs half as many.",
            source=sources.NET_SYSCTL,
        ),
    ),
)
