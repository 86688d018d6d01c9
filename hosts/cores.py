"""Which CPUs gateways and engines of one host run on, from the split of its cores. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from hosts.units import Cpus


def share(gateway: Sequence[int], engine: Sequence[Sequence[int]], replicas: int) -> Cpus:
    """`gateway`: CPUs of the gateways; `engine`: the CPUs of each whole core that is for engines, hyper-threads together.

    Each engine gets cores of its own where there are enough, else all share all. Without cores that are the engines' alone nothing is
    pinned: the kernel's own balance is better than a queue on a shared core.
    """
    every = [cpu for core in engine for cpu in core]
    if not every or set(every) & set(gateway):
        return Cpus()
    if len(engine) < replicas:
        return Cpus(cpu_list(gateway), (cpu_list(every),))
    each = (cpu_list([cpu for core in engine[first::replicas] for cpu in core]) for first in range(replicas))
    return Cpus(cpu_list(gateway), tuple(each))


def cpu_list(cpus: Sequence[int]) -> str:
    """As taskset and systemd read it: 0,1,2,5 is 0-2,5."""
    parts: list[list[int]] = []
    for cpu in sorted(cpus):
        if parts and cpu == parts[-1][-1] + 1:
            parts[-1].append(cpu)
        else:
            parts.append([cpu])
    return ",".join(str(part[0]) if len(part) == 1 else f"{part[0]}-{part[-1]}" for part in parts)
