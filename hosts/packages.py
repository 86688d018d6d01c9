"""What the distribution has to give before a host is tuned."""

from __future__ import annotations

from typing import Final

from pyinfra import host
from pyinfra.facts.deb import DebPackages
from pyinfra.operations import apt

from hosts import lock

# `sysctl`, `modprobe`, `ss`, `taskset` and `lscpu`.
TOOLS: Final = ("procps", "kmod", "iproute2", "util-linux")
# Of a container the clock is the machine's.
CLOCK: Final = ("chrony",)


def wanted(container: str) -> tuple[str, ...]:
    """`container`: its kind, or empty."""
    return TOOLS if container else (*TOOLS, *CLOCK)


def apply(container: str) -> None:
    """Under the host's lock: what is missing is installed; nothing is upgraded, and nothing taken away by `untune`."""
    lock.take(host)
    there = host.get_fact(DebPackages)
    missing = [name for name in wanted(container) if name not in there]
    if missing:
        apt.packages(
            name=f"packages {' '.join(missing)}", packages=missing, present=True, update=True, no_recommends=True
        )
