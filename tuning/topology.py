"""Which CPUs are for what."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from tuning.machine import Cpu


class Cores(msgspec.Struct, frozen=True):
    """CPU numbers, ascending. `shared`: the machine is too small, all are for everything; `why` says how it was split."""

    housekeeping: tuple[int, ...]
    gateway: tuple[int, ...]
    engine: tuple[int, ...]
    shared: bool
    why: str


def split(cpus: Sequence[Cpu], gateways: int = 1) -> Cores:
    raise NotImplementedError


def cpu_list(cpus: Iterable[int]) -> str:
    """`(0, 1, 2, 5)` as `0-2,5`."""
    raise NotImplementedError


def mask(cpus: Iterable[int], like: str = "") -> str:
    """As /proc/irq and rps_cpus spell it: hexadecimal, groups of 32 bits; as many digits as `like` has, which the kernel said."""
    raise NotImplementedError
