"""Which CPUs are for what: whole cores with their hyper-threads, from the machine's own topology."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final, TypeAlias

import msgspec

from tuning.machine import Cpu
from tuning.rules import port_list

# The CPUs of one core, and the memory node that they are on.
_Core: TypeAlias = tuple[int, tuple[int, ...]]
_SMALL: Final = 2  # CPUs that everything shares
_GROUP: Final = 8  # hexadecimal digits between two commas of a mask


class Cores(msgspec.Struct, frozen=True):
    """CPU numbers, ascending. `shared`: the machine is too small, all are for everything; `why` says how it was split."""

    housekeeping: tuple[int, ...]
    gateway: tuple[int, ...]
    engine: tuple[int, ...]
    shared: bool
    why: str


def split(cpus: Sequence[Cpu], gateways: int = 1) -> Cores:
    """A core for each engine and for each gateway as far as they go; the rest, with the first, is for everything else.

    Engines and gateways are on one memory node where they fit. `gateways` 0: a host without any.
    """
    cores = _cores(cpus)
    everything = _cpus(cores)
    if not gateways:
        return Cores(everything, (), (), shared=False, why="no gateway and no engine runs here")
    if len(everything) <= _SMALL or len(cores) == 1:
        why = f"{len(everything)} CPUs on {len(cores)} cores are too few to split: everything shares them"
        return Cores(everything, everything, everything, shared=True, why=why)
    engines = min(gateways, max(1, (len(cores) - 1) // 2))
    fronts = min(gateways, len(cores) - 1 - engines)
    chosen, where = _together(cores[1:], engines + fronts)
    engine, front = chosen[len(chosen) - engines :], chosen[: len(chosen) - engines]
    rest = [core for core in cores if core not in chosen]
    why = f"of {len(cores)} cores {len(rest)} for the system, {fronts} for gateways, {engines} for engines{where}"
    if not front:
        return Cores(_cpus(rest), _cpus(rest), _cpus(engine), shared=False, why=f"{why}; gateways share the system's")
    return Cores(_cpus(rest), _cpus(front), _cpus(engine), shared=False, why=why)


def cpu_list(cpus: Iterable[int]) -> str:
    """`(0, 1, 2, 5)` as `0-2,5`."""
    return port_list(cpus)


def mask(cpus: Iterable[int], like: str = "") -> str:
    """As /proc/irq and rps_cpus spell it: hexadecimal, groups of 32 bits; at least as many digits as `like`, the kernel's own."""
    digits = f"{sum(1 << cpu for cpu in set(cpus)):x}".zfill(len(like.replace(",", "").strip()))
    first = len(digits) % _GROUP
    groups = [digits[:first]] if first else []
    return ",".join([*groups, *(digits[at : at + _GROUP] for at in range(first, len(digits), _GROUP))])


def _cores(cpus: Sequence[Cpu]) -> list[_Core]:
    """Those online, in the order of their first CPU."""
    found: dict[tuple[int, int], list[Cpu]] = {}
    for cpu in sorted(cpus, key=lambda one: one.cpu):
        if cpu.online:
            found.setdefault((cpu.socket, cpu.core), []).append(cpu)
    return [(threads[0].node, tuple(one.cpu for one in threads)) for threads in found.values()]


def _together(cores: list[_Core], count: int) -> tuple[list[_Core], str]:
    """The last `count` cores of the last node that has as many; of all cores where none has."""
    nodes = sorted({node for node, _ in cores}, reverse=True)
    for node in nodes:
        there = [core for core in cores if core[0] == node]
        if len(there) >= count:
            return there[-count:], f", on memory node {node}" if len(nodes) > 1 else ""
    return cores[-count:], ", over several memory nodes: none has as many"


def _cpus(cores: Iterable[_Core]) -> tuple[int, ...]:
    return tuple(sorted(cpu for _, threads in cores for cpu in threads))
