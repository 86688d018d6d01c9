"""What decides whether a host will do at all: its system, its ports, its disk, its clock, who we are on it."""

from __future__ import annotations

import re
from typing import Any, Final, NamedTuple

from pyinfra.api import FactBase

from hosts.facts import sections

# Whether the kernel holds its clock to be right: `yes` or `no`.
SYNCHRONISED: Final = "timedatectl show -p NTPSynchronized --value"
_PARTS: Final = {
    "system": "cat /etc/os-release",
    "kernel": "uname -r",
    "architecture": "uname -m",
    "container": "systemd-detect-virt --container",
    "user": "id -u",
    "init": "cat /proc/1/comm",
    "clock": "date -u +%s.%N",
    "synchronised": SYNCHRONISED,
    "listening": "ss -Hltnup",
    "disk": "df -Pk /var /opt | awk 'NR>1 {print $4, $6}'",
    "memory": "grep MemTotal /proc/meminfo",
    "python": "python3 -c 'import sys; print(\"%d.%d\" % sys.version_info[:2])'",
}
_PROCESS: Final = re.compile(r'users:\(\("(?P<name>[^"]+)"')


class Listener(NamedTuple):
    """A socket that waits on a port: `tcp` or `udp`, its address as `ss` spells it, and whose it is if that is seen."""

    protocol: str
    address: str
    port: int
    process: str


class Look(NamedTuple):
    """`clock`: seconds since 1970; `free_mib` of the file system with least room; `container`: its kind or empty."""

    system: str
    version: str
    kernel: str
    architecture: str
    container: str
    root: bool
    init: str
    clock: float
    synchronised: bool
    listeners: tuple[Listener, ...]
    free_mib: int
    memory_mib: int
    python: str


class LookAround(FactBase[Look]):
    """`Look` of the host."""

    def command(self) -> str:
        return sections.script(_PARTS)

    def process(self, output: list[str]) -> Look:
        return look(output)


def look(lines: list[str]) -> Look:
    """Of the fact's output; what a host does not say is empty or 0."""
    said = sections.split(lines)

    def first(name: str) -> str:
        return next(iter(said.get(name, [])), "").strip()

    release = os_release(said.get("system", []))
    container = first("container")
    return Look(
        system=release.get("ID", ""),
        version=release.get("VERSION_ID", ""),
        kernel=first("kernel"),
        architecture=first("architecture"),
        container="" if container == "none" else container,
        root=first("user") == "0",
        init=first("init"),
        clock=float(first("clock") or 0),
        synchronised=first("synchronised") == "yes",
        listeners=tuple(one for line in said.get("listening", []) if (one := listener(line))),
        free_mib=min((int(line.split()[0]) for line in said.get("disk", [])), default=0) // 1024,
        memory_mib=_number(first("memory")) // 1024,
        python=first("python"),
    )


def os_release(lines: list[str]) -> dict[str, str]:
    """Its assignments, unquoted."""
    pairs = (line.partition("=") for line in lines if "=" in line and not line.startswith("#"))
    return {name.strip(): value.strip().strip("\"'") for name, _, value in pairs}


def listener(line: str) -> Listener | None:
    """Of a line of `ss -Hltnup`: protocol, state, two queues, address:port, peer, users."""
    fields: list[Any] = line.split(maxsplit=6)
    if len(fields) < 5 or not (place := fields[4].rpartition(":"))[2].isdigit():  # noqa: PLR2004 - the fifth is the address
        return None
    found = _PROCESS.search(line)
    return Listener(fields[0], place[0].strip("[]").partition("%")[0], int(place[2]), found["name"] if found else "")


def _number(text: str) -> int:
    found = re.search(r"\d+", text)
    return int(found[0]) if found else 0
