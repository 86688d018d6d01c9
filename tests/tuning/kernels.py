"""Machines as tests need them, and a kernel that does with a write what Linux does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

import msgspec

from tuning.machine import Cpu, Interface, Machine, folders
from tuning.pairs import PARTNERS
from tuning.plan import Plan
from tuning.rules import chosen
from tuning.snapshot import Undo

# As Debian 12's kernel 6.1 has them on a host of 16 GiB, without a firewall.
DEBIAN: Final[Mapping[str, str]] = {
    "fs.file-max": "9223372036854775807",
    "fs.nr_open": "1048576",
    "kernel.numa_balancing": "0",
    "kernel.sched_autogroup_enabled": "1",
    "net.core.busy_poll": "0",
    "net.core.busy_read": "0",
    "net.core.netdev_budget": "300",
    "net.core.netdev_max_backlog": "1000",
    "net.core.rmem_max": "212992",
    "net.core.somaxconn": "4096",
    "net.core.wmem_max": "212992",
    "net.ipv4.ip_local_port_range": "32768 60999",
    "net.ipv4.ip_local_reserved_ports": "",
    "net.ipv4.ip_unprivileged_port_start": "1024",
    "net.ipv4.tcp_fastopen": "1",
    "net.ipv4.tcp_fin_timeout": "60",
    "net.ipv4.tcp_keepalive_intvl": "75",
    "net.ipv4.tcp_keepalive_probes": "9",
    "net.ipv4.tcp_keepalive_time": "7200",
    "net.ipv4.tcp_max_syn_backlog": "1024",
    "net.ipv4.tcp_max_tw_buckets": "65536",
    "net.ipv4.tcp_mtu_probing": "0",
    "net.ipv4.tcp_notsent_lowat": "4294967295",
    "net.ipv4.tcp_retries2": "15",
    "net.ipv4.tcp_rmem": "4096 131072 6291456",
    "net.ipv4.tcp_slow_start_after_idle": "1",
    "net.ipv4.tcp_syn_retries": "6",
    "net.ipv4.tcp_syncookies": "1",
    "net.ipv4.tcp_wmem": "4096 16384 4194304",
    "vm.compaction_proactiveness": "20",
    "vm.dirty_background_bytes": "0",
    "vm.dirty_background_ratio": "10",
    "vm.dirty_bytes": "0",
    "vm.dirty_ratio": "20",
    "vm.max_map_count": "65530",
    "vm.nr_hugepages": "0",
    "vm.overcommit_kbytes": "0",
    "vm.overcommit_memory": "0",
    "vm.overcommit_ratio": "50",
    "vm.stat_interval": "1",
    "vm.swappiness": "60",
    "vm.zone_reclaim_mode": "0",
}
_CONNTRACK: Final = {"net.netfilter.nf_conntrack_max": "262144", "net.netfilter.nf_conntrack_buckets": "262144"}
# Clearing these is for their partners alone: they refuse a 0 (kernel, mm/page-writeback.c).
_NEVER_ZERO: Final = ("vm.dirty_bytes", "vm.dirty_background_bytes")


def host(sysctls: Mapping[str, str] | None = None) -> Machine:
    """Four cores with two threads each, one network card with one queue, bare metal."""
    cpus = range(8)
    return Machine(
        cpus=tuple(Cpu(cpu, cpu % 4, 0, 0) for cpu in cpus),
        memory_kib=16 << 20,
        kernel="6.1.0-37-amd64",
        sysctls={**DEBIAN, **(sysctls or {})},
        sysfs={
            "/sys/kernel/mm/transparent_hugepage/enabled": "[always] madvise never",
            "/sys/kernel/mm/transparent_hugepage/defrag": "always defer defer+madvise [madvise] never",
            **{f"/sys/devices/system/cpu/cpu{cpu}/cpufreq/scaling_governor": "powersave" for cpu in cpus},
            **{f"/sys/devices/system/cpu/cpu{cpu}/cpuidle/state1/latency": "2" for cpu in cpus},
            **{f"/sys/devices/system/cpu/cpu{cpu}/cpuidle/state1/disable": "0" for cpu in cpus},
            **{f"/sys/devices/system/cpu/cpu{cpu}/cpuidle/state2/latency": "133" for cpu in cpus},
            **{f"/sys/devices/system/cpu/cpu{cpu}/cpuidle/state2/disable": "0" for cpu in cpus},
            "/sys/class/net/eth0/queues/rx-0/rps_cpus": "00",
            "/proc/irq/default_smp_affinity": "ff",
            "/proc/irq/30/smp_affinity_list": "0-7",
            "/proc/irq/31/smp_affinity_list": "0",
        },
        modules_available=True,
        depends={"nf_conntrack": ("nf_defrag_ipv6", "libcrc32c", "nf_defrag_ipv4")},
        there=frozenset({"/etc", "/etc/sysctl.d", "/etc/systemd", "/etc/security", "/usr", "/usr/local"}),
        clocks=frozenset({"systemd-timesyncd"}),
        huge_page_sizes=(2048, 1048576),
        interfaces=(Interface("eth0", 1, 1, (30, 31)), Interface("lo", 1, 1)),
        files={"/etc/sysctl.d/99-sysctl.conf": "# kernel.domainname = example.com\n"},
    )


def write(sysctls: dict[str, str], key: str, value: str) -> None:
    """Raises OSError as the kernel does."""
    if value == "0" and key in _NEVER_ZERO:
        raise OSError(22, key)
    changed = sysctls[key] != value
    sysctls[key] = value
    if key in PARTNERS and changed:
        sysctls[PARTNERS[key]] = "0"


def applied(plan: Plan, machine: Machine, steps: int | None = None) -> Machine:
    """After so many writes; None: all. Modules come first, then values in the plan's order, then files."""
    writes = [one for one in plan.settings if one.action == "set"]
    sysctls, sysfs, modules, files = (
        dict(machine.sysctls),
        dict(machine.sysfs),
        set(machine.modules),
        dict(machine.files),
    )
    for one in writes[:steps]:
        key = one.setting.key
        if one.setting.kind == "module":
            if key not in modules:
                modules |= {key, *machine.depends.get(key, ())}
                sysctls |= _CONNTRACK
        elif one.setting.kind == "sysfs":
            sysfs[key] = one.want
        else:
            write(sysctls, key, one.want)
    left = None if steps is None else max(0, steps - len(writes))
    written = dict(list(plan.files.items())[:left])
    there = machine.there | set(folders(written))
    return msgspec.structs.replace(
        machine, sysctls=sysctls, sysfs=sysfs, modules=frozenset(modules), files=files | written, there=there
    )


def undone(undo: Undo, machine: Machine) -> Machine:
    sysctls = dict(machine.sysctls)
    for key, value in undo.sysctls.items():
        write(sysctls, key, value)
    if undo.modules:
        sysctls = {key: value for key, value in sysctls.items() if key not in _CONNTRACK}
    return msgspec.structs.replace(
        machine,
        sysctls=sysctls,
        sysfs=machine.sysfs | undo.sysfs,
        modules=machine.modules - set(undo.modules),
        files=machine.files | undo.files,
        there=machine.there - set(undo.folders) - set(undo.unfinished),
    )


def same(one: Machine, other: Machine) -> bool:
    """But for spelling: a switch without the words it does not have, a file that is not there or said not to be."""
    return _plain(one) == _plain(other)


def _plain(machine: Machine) -> Sequence[object]:
    return (
        machine.sysctls,
        {path: chosen(value) for path, value in machine.sysfs.items()},
        machine.modules,
        machine.there,
        {path: text for path, text in machine.files.items() if text is not None},
    )
