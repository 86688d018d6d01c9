"""What a host needs for what it is for, besides its level."""

from __future__ import annotations

from typing import Final

from tuning import sources
from tuning.profile import Profile, Setting

OVERCOMMIT: Final = "vm.overcommit_memory"

BALANCER: Final = Profile(
    name="balancer",
    settings=(
        Setting(
            key="net.ipv4.tcp_max_tw_buckets",
            value="262144",
            reason="Connections that clients opened and that were closed here wait for a minute; beyond this they are cut.",
            source=sources.IP_SYSCTL,
        ),
        Setting(
            key="net.core.somaxconn",
            value="4096",
            reason="The accept queue of the published port; nginx's own `backlog` is cut to this.",
            source=f"{sources.NGINX}; {sources.LISTEN}",
        ),
    ),
)

GATEWAY: Final = Profile(
    name="gateway",
    settings=(
        Setting(
            key="net.core.somaxconn",
            value="4096",
            reason="The accept queue while a gateway is in the middle of something; listen(2) cuts any backlog to this.",
            source=sources.LISTEN,
        ),
        Setting(
            key="net.ipv4.tcp_notsent_lowat",
            value="131072",
            rule="at_most",
            reason="A reader that stalls holds 128 KiB of unsent events in the kernel, not megabytes, and is noticed sooner.",
            source=sources.IP_SYSCTL,
        ),
    ),
)

ENGINE: Final = Profile(
    name="engine",
    settings=(
        Setting(
            key="vm.swappiness",
            value="1",
            rule="at_most",
            reason="The books are all in memory; a page of them on disk stops every order of its accounts.",
            source=sources.VM_SYSCTL,
        ),
        Setting(
            key="vm.zone_reclaim_mode",
            value="0",
            rule="exactly",
            reason="Memory of another node is taken before this node's cache is searched for pages to drop.",
            source=sources.VM_SYSCTL,
        ),
    ),
)

POSTGRES: Final = Profile(
    name="postgres",
    settings=(
        Setting(
            key=OVERCOMMIT,
            value="2",
            rule="exactly",
            reason="PostgreSQL is told that there is no memory; otherwise the OOM killer ends every session of it.",
            source=sources.POSTGRES_MEMORY,
        ),
        Setting(
            key="vm.overcommit_ratio",
            value="80",
            reason="With overcommit off, programs may have 80 % of memory and all swap; the default 50 % leaves half unused.",
            source=f"{sources.POSTGRES_MEMORY}; {sources.VM_SYSCTL}",
        ),
        Setting(
            key="vm.dirty_background_bytes",
            value="67108864",
            rule="at_most",
            reason="The fsync at the end of a checkpoint finds little left to write.",
            source=sources.POSTGRES_FLUSH,
        ),
        Setting(
            key="vm.zone_reclaim_mode",
            value="0",
            rule="exactly",
            reason="Shared buffers and file cache are used from every node; reclaiming within one stalls the others' readers.",
            source=sources.VM_SYSCTL,
        ),
    ),
)

REDIS: Final = Profile(
    name="redis",
    settings=(
        Setting(
            key=OVERCOMMIT,
            value="1",
            rule="exactly",
            reason="A background save forks; without overcommit the fork fails when half of memory is in use.",
            source=sources.REDIS,
        ),
        Setting(
            key="net.core.somaxconn",
            value="511",
            reason="Redis asks for a backlog of 511, which listen(2) cuts to this.",
            source=f"{sources.REDIS_CONF}; {sources.LISTEN}",
        ),
    ),
)

MONITORING: Final = Profile(
    name="monitoring",
    settings=(
        Setting(
            key="vm.max_map_count",
            value="262144",
            reason="Prometheus maps each block and each file of its head; many days of data are many maps.",
            source=f"{sources.VM_SYSCTL}; https://prometheus.io/docs/prometheus/latest/storage/",
        ),
    ),
)
