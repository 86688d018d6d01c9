"""What every host of ours is to have, whatever it is for."""

from __future__ import annotations

from typing import Final

from tuning import sources
from tuning.profile import Profile, Setting

BASE: Final = Profile(
    name="base",
    settings=(
        Setting(
            key="vm.swappiness",
            value="10",
            rule="at_most",
            reason="Pages of programs stay in memory while there is file cache to drop; 0 lets the OOM killer come first.",
            source=sources.VM_SYSCTL,
        ),
        Setting(
            key="vm.dirty_background_bytes",
            value="67108864",
            rule="at_most",
            reason="Writing back begins at 64 MiB: a tenth of a large memory would be written at once and stall every fsync.",
            source=sources.VM_SYSCTL,
        ),
        Setting(
            key="vm.dirty_bytes",
            value="536870912",
            rule="at_most",
            reason="No writer leaves more than 512 MiB to be written, so the longest stall is that of a disk for 512 MiB.",
            source=sources.VM_SYSCTL,
        ),
        Setting(
            kind="sysfs",
            key="/sys/kernel/mm/transparent_hugepage/enabled",
            value="madvise",
            rule="at_most",
            reason="Only who asks gets huge pages: otherwise a fork for a snapshot copies 2 MiB for each page that is written.",
            source=sources.REDIS,
        ),
        Setting(
            kind="sysfs",
            key="/sys/kernel/mm/transparent_hugepage/defrag",
            value="madvise",
            rule="at_most",
            reason="A page fault does not wait until memory is compacted, but for who asked for huge pages.",
            source=sources.THP,
        ),
        Setting(
            key="net.ipv4.tcp_syncookies",
            value="1",
            rule="at_least",
            reason="A flood of SYNs that fills the backlog does not keep clients out.",
            source=sources.IP_SYSCTL,
        ),
    ),
)
