"""The sysctls of containers: namespaced ones only, and none that takes a listener's port."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from stacks import ports
from stacks.refusals import Refusal
from stacks.spec import Deployment

# What Docker lets a container have, by prefix: docs.docker.com, "docker run", --sysctl.
_NAMESPACED: Final = ("net.", "kernel.msg", "kernel.sem", "kernel.shm", "fs.mqueue.")
# What Pod Security "restricted" lets a pod have: kubernetes.io, "Pod Security Standards", Sysctls; without those of 1.32.
SAFE: Final = frozenset(
    {
        "kernel.shm_rmid_forced",
        "net.ipv4.ip_local_port_range",
        "net.ipv4.ip_unprivileged_port_start",
        "net.ipv4.tcp_syncookies",
        "net.ipv4.ping_group_range",
        "net.ipv4.ip_local_reserved_ports",
        "net.ipv4.tcp_keepalive_time",
        "net.ipv4.tcp_fin_timeout",
        "net.ipv4.tcp_keepalive_intvl",
        "net.ipv4.tcp_keepalive_probes",
    }
)
_RANGE: Final = "net.ipv4.ip_local_port_range"
_HIGHEST: Final = max(ports.GATEWAY, ports.BALANCER_HTTP, ports.BALANCER_HTTPS)
_LAST_PORT: Final = 65_535


def problems(spec: Deployment) -> Iterator[Refusal]:
    for name, value in spec.limits.sysctls.items():
        path = f"limits.sysctls.{name}"
        if spec.topology == "kubernetes" and name not in SAFE:
            rule = f"must be one that Pod Security restricted allows: {', '.join(sorted(SAFE))}"
            yield Refusal(path, value, rule, "leave it out; the node's tuning may set it")
        elif not name.startswith(_NAMESPACED):
            rule = f"must be namespaced: {', '.join(f'{prefix}*' for prefix in _NAMESPACED)}"
            yield Refusal(path, value, rule, "leave it out; the host's tuning may set it")
        if name == _RANGE:
            yield from _range(path, value)


def _range(path: str, value: str) -> Iterator[Refusal]:
    numbers = tuple(map(int, value.split()))
    if len(numbers) != 2 or not _HIGHEST < numbers[0] < numbers[1] <= _LAST_PORT:  # noqa: PLR2004 - first and last
        rule = f"must be two ports, rising, both above {_HIGHEST}, where containers listen, and at most {_LAST_PORT}"
        yield Refusal(path, value, rule, "write e.g. 10240 65535")
