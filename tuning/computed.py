"""Settings whose values follow from the demand and the machine."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from tuning import sources
from tuning.choices import Choices
from tuning.demand import Demand
from tuning.machine import Machine
from tuning.profile import LEVELS, Setting
from tuning.rules import port_list
from tuning.topology import Cores

MODULE: Final = "nf_conntrack"
HUGE_PAGES: Final = "vm.nr_hugepages"
HUGE_PAGE_KIB: Final = 2048
# PostgreSQL's shared memory is more than its buffers: lock tables, WAL buffers, room for each connection. It is all in huge pages
# or none of it (huge_pages = try), so one page too few leaves them all to nobody. PostgreSQL 15 says of itself (`postgres -C
# shared_memory_size`) that it wants 2.2 % and 23 MiB more, and 46 KiB a connection.
_AROUND_BUFFERS: Final = (21, 20)
_AROUND_BUFFERS_MIB: Final = 24
_CONNECTION_KIB: Final = 64
# A tracked connection takes 320 bytes, and as many buckets as entries 8 bytes each; no more than 1/16 of memory for all.
_ENTRY_BYTES: Final = 328
_MEMORY_SHARE: Final = 16
_KERNEL_MOST: Final = 262_144  # what kernels set themselves on hosts of more than 4 GiB


def settings(machine: Machine, demand: Demand, choices: Choices, cores: Cores) -> Iterator[Setting]:
    yield from _files(demand)
    if pages := huge_pages(demand, choices):
        yield Setting(
            key=HUGE_PAGES,
            value=str(pages),
            reason=f"{pages} pages of 2 MiB are asked for, by PostgreSQL's shared buffers, the engines, or by choice.",
            source=f"{sources.POSTGRES_HUGE}; https://docs.kernel.org/admin-guide/mm/hugetlbpage.html",
        )
    if LEVELS.index(choices.level) >= LEVELS.index("network"):
        yield from _network(machine, demand, choices)
    if choices.level == "low_latency" and cores.engine and not cores.shared:
        yield from _polling()


def huge_pages(demand: Demand, choices: Choices) -> int:
    """How many of 2 MiB; 0 when nothing asks for any."""
    if choices.huge_pages is not None:
        return choices.huge_pages
    buffers = demand.shared_buffers_mib
    if buffers:
        over, under = _AROUND_BUFFERS
        buffers = (
            -(-buffers * over // under)
            + _AROUND_BUFFERS_MIB
            + -(-demand.postgres_connections * _CONNECTION_KIB // 1024)
        )
    return -(-(buffers + demand.engine_huge_mib) * 1024 // HUGE_PAGE_KIB)


def tracked(machine: Machine, demand: Demand) -> int:
    """Connections that the firewall is to remember: four times those open, a power of two, at least what kernels have."""
    wanted = max(_KERNEL_MOST, 1 << (4 * demand.connections - 1).bit_length() if demand.connections else 0)
    room = machine.memory_kib * 1024 // _MEMORY_SHARE // _ENTRY_BYTES
    return min(wanted, max(_KERNEL_MOST, 1 << max(room.bit_length() - 1, 0)))


def _files(demand: Demand) -> Iterator[Setting]:
    yield Setting(
        key="fs.nr_open",
        value=str(max(demand.open_files, 65_535)),
        reason="One process may be given as many open files as its unit says; without it the unit does not start.",
        source=f"{sources.FS_SYSCTL}; setrlimit(2)",
    )
    yield Setting(
        key="fs.file-max",
        value=str(max(demand.open_files, 65_535) * 2 * (max(demand.gateways, 1) + 1)),
        reason="All processes together: twice what gateways, and whatever is before or behind them, may open.",
        source=sources.FS_SYSCTL,
    )


def _network(machine: Machine, demand: Demand, choices: Choices) -> Iterator[Setting]:
    if demand.backlog:
        yield from _listening(demand.backlog)
    if demand.ports:
        yield _reserved(demand.ports)
    if choices.fast_open:
        yield _fast_open()
    yield from _tracking(str(tracked(machine, demand)))


def _listening(backlog: int) -> Iterator[Setting]:
    yield Setting(
        key="net.core.somaxconn",
        value=str(backlog),
        reason="Listeners ask for this backlog, and listen(2) cuts it to the kernel's.",
        source=f"{sources.LISTEN}; {sources.IP_SYSCTL}",
    )
    yield Setting(
        key="net.ipv4.tcp_max_syn_backlog",
        value=str(2 * backlog),
        reason="Half-open connections wait beside a full accept queue.",
        source=sources.IP_SYSCTL,
    )


def _reserved(ports: Iterable[int]) -> Setting:
    return Setting(
        key="net.ipv4.ip_local_reserved_ports",
        value=port_list(ports),
        rule="includes",
        reason="No connection takes a port that a service of ours listens on after its next start.",
        source=sources.IP_SYSCTL,
    )


def _fast_open() -> Setting:
    return Setting(
        key="net.ipv4.tcp_fastopen",
        value="3",
        reason="Asked for: data in the first packet, for clients and listeners. A replayed packet may repeat a POST.",
        source=f"{sources.IP_SYSCTL}; RFC 7413, 6.1",
    )


def _tracking(entries: str) -> Iterator[Setting]:
    """The firewall's table of connections, and the module that has it."""
    yield Setting(
        kind="module",
        key=MODULE,
        value="",
        rule="exactly",
        reason="The firewall remembers connections with it; its values can only be set once it is there.",
        source=f"{sources.CONNTRACK}; sysctl.d(5), example 3",
    )
    yield Setting(
        key="net.netfilter.nf_conntrack_max",
        value=entries,
        reason="New connections are dropped when it is full: four times those expected, and no less than large hosts have.",
        source=sources.CONNTRACK,
    )
    yield Setting(
        key="net.netfilter.nf_conntrack_buckets",
        value=entries,
        reason="As many buckets as entries, as kernels have since 5.15: each packet looks at one entry.",
        source=sources.CONNTRACK,
    )


def _polling() -> Iterator[Setting]:
    for key in ("net.core.busy_read", "net.core.busy_poll"):
        yield Setting(
            key=key,
            value="50",
            reason="A waiting read looks at the card's queue for 50 µs before it sleeps; the cores for it are set apart.",
            source=sources.NET_SYSCTL,
        )
