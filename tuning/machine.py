"""What a host is like, as whoever reads it says. Nothing here is read or changed."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Final

import msgspec

# What of /sys and /proc/irq is to be read: patterns of the shell's, one value a file.
SYSFS_PATTERNS: Final = (
    "/sys/kernel/mm/transparent_hugepage/enabled",
    "/sys/kernel/mm/transparent_hugepage/defrag",
    "/sys/devices/system/cpu/cpu*/cpufreq/scaling_governor",
    "/sys/devices/system/cpu/cpu*/cpufreq/scaling_available_governors",
    "/sys/devices/system/cpu/cpu*/cpuidle/state*/disable",
    "/sys/devices/system/cpu/cpu*/cpuidle/state*/latency",
    "/sys/class/net/*/queues/rx-*/rps_cpus",
    "/proc/irq/default_smp_affinity",
    "/proc/irq/*/smp_affinity_list",
)
# Where systemd-sysctl looks for *.conf; the first that has a name decides.
SYSCTL_DIRS: Final = ("/etc/sysctl.d", "/run/sysctl.d", "/usr/local/lib/sysctl.d", "/usr/lib/sysctl.d")
SYSCTL_FILE: Final = "/etc/sysctl.d/99-veloz.conf"
MODULES_FILE: Final = "/etc/modules-load.d/veloz.conf"
TMPFILES_FILE: Final = "/etc/tmpfiles.d/veloz.conf"
JOURNAL_FILE: Final = "/etc/systemd/journald.conf.d/veloz.conf"
CHRONY_FILE: Final = "/etc/chrony/conf.d/veloz.conf"
LIMITS_FILE: Final = "/etc/security/limits.d/veloz.conf"
INTERRUPTS: Final = "veloz-interrupts.service"
INTERRUPTS_UNIT: Final = f"/etc/systemd/system/{INTERRUPTS}"
INTERRUPTS_LINK: Final = f"/etc/systemd/system/multi-user.target.wants/{INTERRUPTS}"
INTERRUPTS_SCRIPT: Final = "/usr/local/lib/veloz/interrupts.py"
# There while the unit is active.
INTERRUPTS_RUN: Final = "/run/veloz-interrupts"
UNIT_FILES: Final = (INTERRUPTS_SCRIPT, INTERRUPTS_UNIT)
OUR_FILES: Final = (SYSCTL_FILE, MODULES_FILE, TMPFILES_FILE, JOURNAL_FILE, CHRONY_FILE, LIMITS_FILE, *UNIT_FILES)
# ufw gives the values of the file that the second names, while the third says that it is enabled.
UFW_SYSCTL_FILE: Final = "/etc/ufw/sysctl.conf"
UFW_DEFAULTS_FILE: Final = "/etc/default/ufw"
UFW_FILE: Final = "/etc/ufw/ufw.conf"


def folders(paths: Iterable[str]) -> tuple[str, ...]:
    """All folders above these files, the deepest first."""
    found = {str(folder) for path in paths for folder in PurePosixPath(path).parents if str(folder) != "/"}
    return tuple(sorted(found, key=lambda folder: (-folder.count("/"), folder)))


def unfinished(path: str) -> str:
    """The name of a file until it is whole."""
    place = PurePosixPath(path)
    return f"{place.parent}/.{place.name}.veloz-new"


class Cpu(msgspec.Struct, frozen=True):
    """One that the scheduler sees; those with the same socket and core are hyper-threads of one core."""

    cpu: int
    core: int
    socket: int
    node: int
    online: bool = True


class Interface(msgspec.Struct, frozen=True):
    """A network interface: how many queues it receives and sends with, and its interrupts."""

    name: str
    rx: int
    tx: int
    irqs: tuple[int, ...] = ()


class Machine(msgspec.Struct, frozen=True, kw_only=True):
    """`sysctls`: all of `sysctl -a`, one blank between numbers; `sysfs`: what SYSFS_PATTERNS name, by path.

    `container`: its kind, empty on a machine of its own; `memory_kib`: all there is; `kernel`: its release, as `uname -r`.
    `modules`: loaded or built in; `modules_available`: others can be loaded; `depends`: what a module brings along, in the
    order of loading; `huge_page_sizes` in KiB; `files`: texts by path, None: there is none; `there`: which folders, links and
    unfinished files there are, `empty`: which of the folders are; `read_only`: of /sys, /proc/sys and what is below them, what
    cannot be written; `clocks`: units that keep the clock, without their ending; `irqbalance`: it runs, or will after a boot.
    """

    cpus: tuple[Cpu, ...] = ()
    memory_kib: int = 0
    kernel: str = ""
    container: str = ""
    sysctls: dict[str, str] = {}
    sysfs: dict[str, str] = {}
    modules: frozenset[str] = frozenset()
    modules_available: bool = False
    depends: dict[str, tuple[str, ...]] = {}
    huge_page_sizes: tuple[int, ...] = ()
    interfaces: tuple[Interface, ...] = ()
    files: dict[str, str | None] = {}
    there: frozenset[str] = frozenset()
    empty: frozenset[str] = frozenset()
    read_only: frozenset[str] = frozenset()
    clocks: frozenset[str] = frozenset()
    irqbalance: bool = False

    def writable(self, path: str) -> bool:
        return not any(path == place or path.startswith(f"{place}/") for place in self.read_only)
