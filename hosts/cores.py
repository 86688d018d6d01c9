"""Which CPUs gateways and engines of one host run on, from the split of its cores."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from pyinfra.api.host import Host

from hosts import survey
from hosts.units import Cpus
from tuning.machine import Cpu
from tuning.topology import cpu_list, split


def of_host(host: Host, replicas: int) -> Cpus:
    """Raises PyinfraError when the host does not say."""
    machine, _ = survey.remembered(host)
    return of_cpus(machine.cpus, replicas)


def of_cpus(cpus: Sequence[Cpu], replicas: int) -> Cpus:
    """A machine that is too small for cores of their own has nothing pinned: the kernel's balance is better than a queue."""
    cores = split(cpus, replicas)
    if cores.shared or not cores.engine:
        return Cpus()
    return share(cores.gateway, whole_cores(cpus, cores.engine), replicas)


def whole_cores(cpus: Iterable[Cpu], chosen: Iterable[int]) -> list[tuple[int, ...]]:
    """The chosen CPUs, hyper-threads of one core together."""
    wanted = set(chosen)
    cores: dict[tuple[int, int], list[int]] = {}
    for cpu in sorted(cpus, key=lambda one: one.cpu):
        if cpu.cpu in wanted:
            cores.setdefault((cpu.socket, cpu.core), []).append(cpu.cpu)
    return [tuple(core) for core in cores.values()]


def share(gateway: Sequence[int], engine: Sequence[Sequence[int]], replicas: int) -> Cpus:
    """`engine`: the CPUs of each core. Each engine gets cores of its own where there are enough, else all share all."""
    if len(engine) < replicas:
        return Cpus(cpu_list(gateway), (cpu_list(cpu for core in engine for cpu in core),))
    each = (cpu_list(cpu for core in engine[first::replicas] for cpu in core) for first in range(replicas))
    return Cpus(cpu_list(gateway), tuple(each))
