"""What a host's firewall is like, in one question."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec
from pyinfra.api import FactBase
from typing_extensions import override

from hosts import docker_ports
from hosts.docker_ports import FAMILIES, FILES, Family, Kernel
from hosts.places import STATE_DIR
from hosts.ufw import Added, parse

STATE: Final = f"{STATE_DIR}/firewall"
_MARK: Final = "@@veloz "
# Services that empty the kernel's tables when they start; at boot that is before or after ufw, as it happens.
_RIVALS: Final = ("firewalld", "nftables", "netfilter-persistent")
_BRIDGES: Final = "/sys/class/net/br-*/bridge"
_TOOLS: Final[dict[Family, str]] = {4: "iptables", 6: "ip6tables"}


class Firewall(msgspec.Struct, frozen=True):
    """`running`: the kernel has ufw's rules. `blocks`: of after.rules, as they are. `defaults`: of ufw's two files.

    `rivals`: other firewalls that run or start at boot. `families`: what the kernel speaks; IPv6 may be switched off at boot.
    """

    installed: bool = False
    running: bool = False
    at_boot: bool = False
    defaults: dict[str, str] = {}
    added: tuple[Added, ...] = ()
    blocks: dict[Family, str] = {}
    kernel: dict[Family, Kernel] = {}
    ssh_ports: tuple[int, ...] = ()
    resolved: dict[str, tuple[str, ...]] = {}
    armed: bool = False
    original: bool = False
    original_added: tuple[Added, ...] = ()
    rivals: tuple[str, ...] = ()
    families: tuple[Family, ...] = FAMILIES


class FirewallFact(FactBase[Firewall]):
    @override
    def command(self, names: Sequence[str] = ()) -> str:
        lookups = " ".join(map(shlex.quote, names))
        parts = {
            "installed": "command -v ufw",
            "running": "iptables -S ufw-user-input",
            "at_boot": "systemctl is-enabled ufw",
            "defaults": "grep -hE '^[A-Z0-9_]+=' /etc/default/ufw /etc/ufw/ufw.conf",
            "added": "ufw show added",
            "ssh_ports": "sshd -T | sed -n 's/^port //p'",
            "resolved": f"for n in {lookups}; do getent ahosts $n | awk -v n=$n '{{print n, $1}}'; done"
            if names
            else "true",
            "bridges": f"for b in {_BRIDGES}; do [ ! -e $b ] || basename ${{b%/bridge}}; done",
            "ipv6": "ls -d /proc/sys/net/ipv6",
            "armed": f"ls -d {STATE}/armed",
            "original": f"ls -d {STATE}/original",
            "original_added": f"cat {STATE}/original/added",
            "rivals": f"for s in {' '.join(_RIVALS)}; do "
            "if systemctl is-active -q $s || systemctl is-enabled -q $s; then echo $s; fi; done",
        }
        for family in FAMILIES:
            parts[f"block{family}"] = f"sed -n '/^{docker_ports.BEGIN}$/,/^{docker_ports.END}$/p' {FILES[family]}"
            parts[f"docker_user{family}"] = f"{_TOOLS[family]} -S DOCKER-USER"
            # Asking for a table makes it; so all that there is.
            parts[f"security{family}"] = f"{_TOOLS[family]}-save | sed -n '/^[*]security/,/^COMMIT/p'"
        asked = (f"echo '{_MARK}{name}'; ({command}) 2>/dev/null" for name, command in parts.items())
        return f"PATH=$PATH:/usr/sbin:/sbin; LC_ALL=C; export LC_ALL; {'; '.join(asked)}; true"

    @staticmethod
    @override
    def default() -> Firewall:
        return Firewall()

    @override
    def process(self, output: Iterable[str]) -> Firewall:
        return read(output)


class LiveConnection(FactBase[str]):
    """SSH_CONNECTION of who asks: ask without sudo, which forgets it."""

    @override
    def command(self) -> str:
        return 'echo "$SSH_CONNECTION"'


def read(output: Iterable[str]) -> Firewall:
    """Of the fact's output."""
    parts: dict[str, list[str]] = {}
    here: list[str] = []
    for line in output:
        if line.startswith(_MARK):
            here = parts.setdefault(line.removeprefix(_MARK), [])
        else:
            here.append(line)

    def said(name: str) -> list[str]:
        return [line for line in parts.get(name, ()) if line.strip()]

    resolved: dict[str, tuple[str, ...]] = {}
    for name, address in dict.fromkeys(tuple(line.split()) for line in said("resolved")):
        resolved[name] = (*resolved.get(name, ()), address)
    bridges = tuple(name for name in said("bridges") if not docker_ports.of_docker(name))
    return Firewall(
        installed=bool(said("installed")),
        running=bool(said("running")),
        at_boot=said("at_boot") == ["enabled"],
        defaults=dict(_assignment(line) for line in said("defaults")),
        added=parse("\n".join(said("added"))),
        blocks={family: "".join(f"{line}\n" for line in said(f"block{family}")) for family in FAMILIES},
        kernel={
            family: Kernel(
                security=tuple(said(f"security{family}")),
                docker_user=tuple(said(f"docker_user{family}")),
                bridges=bridges,
            )
            for family in FAMILIES
        },
        ssh_ports=tuple(sorted({int(port) for port in said("ssh_ports")})),
        resolved=resolved,
        armed=bool(said("armed")),
        original=bool(said("original")),
        original_added=parse("\n".join(said("original_added"))),
        rivals=tuple(said("rivals")),
        families=FAMILIES if said("ipv6") else (4,),
    )


def _assignment(line: str) -> tuple[str, str]:
    name, _, value = line.partition("=")
    return name, value.strip().strip("\"'")
