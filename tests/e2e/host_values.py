"""Everything that tuning could touch on a host, to be compared before and after; and the machine's own values, put back."""

from __future__ import annotations

import fcntl
import os
import re
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from tests.e2e.bare_host import BareHost

# They change by themselves, or are random, or say how full something is.
_LIVING: Final = re.compile(
    r"fs\.(dentry-state|file-nr|inode-nr|inode-state|aio-nr|quota\..*)|kernel\.(random\..*|ns_last_pid|pty\.nr|tainted)"
    r"|net\.netfilter\.nf_conntrack_count|kernel\.sched_domain\..*|net\.ipv6\.conf\..*\.stable_secret"
    r"|vm\.stat_refresh|net\.ipv4\.tcp_fastopen_key|net\.core\.netdev_budget_.*_seen|sunrpc\..*"
)
_SYS: Final = (
    "/sys/kernel/mm /sys/devices/system/cpu /sys/class/net/*/queues /sys/block/*/queue /sys/module/*/parameters"
)
_LIVING_SYS: Final = re.compile(
    r".*(/stat|/stats/.*|/usage|/time|/above|/below|/rejected|cpufreq/.*cur_freq|/numa_stat|free_hugepages|surplus|full_scans"
    r"|pages_collapsed|/uevent|/damon/.*|page_reporting/.*|khugepaged/.*_collapsed|/ksm/.*|lru_gen.*|/inflight|/io_timeout|crash_hotplug).*"
)


def sysctls(text: str) -> dict[str, str]:
    lines = (line.partition(" = ") for line in text.splitlines())
    return {key: " ".join(value.split()) for key, equals, value in lines if equals and not _LIVING.fullmatch(key)}


# Where anything of ours could be, but for /run/veloz-host, which a boot clears.
_TREES: Final = "/etc /usr/local /var/lib/veloz /run/systemd/system /run/modules-load.d /run/veloz-interrupts"
# The lists before the last change, as adduser keeps them.
_BACKUP: Final = re.compile(r"(file|sum) /etc/(passwd|group|g?shadow|sub[ug]id)-")
_DAEMONS: Final = "systemd-journald systemd-timesyncd chrony ssh"
_STATE: Final = f"""
find {_TREES} -xdev -printf 'file %p\t%y %m %u:%g %l\n' 2>/dev/null
find /var/lib -maxdepth 1 -printf 'file %p\t%y %m\n'
find {_TREES} -xdev -type f -exec sha256sum {{}} + 2>/dev/null | sed 's/^\\([0-9a-f]*\\)  \\(.*\\)/sum \2\t\1/'
dpkg-query -W -f 'package ${{Package}}\t${{db:Status-Abbrev}} ${{Version}}\n'
apt-mark showauto | sed 's/.*/automatic &\tyes/'
systemctl list-unit-files --no-legend | sed 's/^\\([^ ]*\\) *\\(.*\\)/unit \1\t\2/'
for d in {_DAEMONS}; do printf 'daemon %s\t%s\n' $d "$(systemctl is-active $d)"; done
printf 'units on disk that systemd has not read\t%s\n' "$(systemctl show '*' -p NeedDaemonReload | grep -c yes)"
printf 'modules\t%s\n' "$(cut -d' ' -f1 /proc/modules | sort | tr '\n' ' ')"
"""


def everything(host: BareHost) -> dict[str, str]:
    """What a host consists of where tuning could leave a trace.

    `sysctl -a`, the parts of /sys that tuning knows, loaded modules, every file and folder with type, mode, owner and sum,
    packages with their states and marks, unit files, and what systemd has of them.
    """
    found = sysctls(host.ssh("sysctl -a 2>/dev/null"))
    command = f"find {_SYS} -type f -readable -size -65k -exec grep -Hm1 '' {{}} + 2>/dev/null"
    for line in host.ssh(command, check=False).splitlines():
        path, _, value = line.partition(":")
        if not _LIVING_SYS.fullmatch(path):
            found[path] = value
    for line in host.ssh(_STATE, check=False).splitlines():
        key, _, value = line.partition("\t")
        if not _BACKUP.fullmatch(key):
            found[key] = value
    return found


def differences(before: dict[str, str], after: dict[str, str]) -> dict[str, tuple[str | None, str | None]]:
    keys = before.keys() | after.keys()
    return {key: (before.get(key), after.get(key)) for key in sorted(keys) if before.get(key) != after.get(key)}


@contextmanager
def machine_put_back() -> Iterator[None]:
    """Test hosts share the machine's vm.*, kernel.*, fs.* and part of net.core.*: one test at a time, old values put back."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that one who is told to end puts them back too
    lock = Path(os.environ.get("VELOZ_E2E_HOST_LOCK", Path(tempfile.gettempdir()) / "veloz-e2e-host.lock"))
    with lock.open("a") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        before, switches = _machine()
        try:
            yield
        finally:
            after, switched = _machine()
            for key, value in before.items():
                if after.get(key, value) != value:
                    subprocess.run(["sysctl", "-q", "-w", f"{key}={value}"], check=False, capture_output=True)
            for path, text in switches.items():
                if switched.get(path) != text:
                    Path(path).write_text(_chosen(text))


def _machine() -> tuple[dict[str, str], dict[str, str]]:
    text = subprocess.run(["sysctl", "-a"], check=False, capture_output=True, text=True).stdout
    found = {
        key: value for key, value in sysctls(text).items() if key.startswith(("vm.", "kernel.", "fs.", "net.core."))
    }
    pages = sorted(Path("/sys/kernel/mm/transparent_hugepage").glob("*"))
    paths = [one for one in pages if one.name in {"enabled", "defrag", "shmem_enabled"}]
    return found, {str(path): path.read_text().strip() for path in paths}


def _chosen(text: str) -> str:
    """Of a switch: `always [madvise] never`."""
    found = re.search(r"\[(.+?)\]", text)
    return found[1] if found else text
