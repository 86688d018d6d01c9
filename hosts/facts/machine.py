"""A reading as `tuning` wants it. Pure."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Final

from hosts.facts import parse
from hosts.facts.reading import mounted_read_only
from tuning.computed import MODULE
from tuning.machine import Cpu, Interface, Machine

_MOUNTS: Final = ("/sys", "/proc/sys")


def machine(reading: Mapping[str, Sequence[str]], files: dict[str, str | None]) -> Machine:
    """`files`: whole, by path; None: there is none."""

    def lines(name: str) -> Sequence[str]:
        return reading.get(name, ())

    def first(name: str) -> str:
        return next(iter(lines(name)), "").strip()

    container = first("container")
    return Machine(
        cpus=tuple(Cpu(*one) for one in parse.cpus(lines("cpus"))),
        memory_kib=int(first("memory") or 0),
        kernel=first("kernel"),
        container="" if container == "none" else container,
        sysctls=parse.sysctls(lines("sysctls")),
        sysfs=parse.values(lines("sysfs")),
        modules=frozenset(lines("modules")) | frozenset(lines("builtin")),
        modules_available=bool(first("available")),
        depends={MODULE: tuple(name for name in parse.depends(lines("depends")) if name != MODULE)},
        huge_page_sizes=tuple(sorted(_kib(name) for name in lines("huge"))),
        interfaces=tuple(
            Interface(*one) for one in parse.interfaces(lines("interfaces"), parse.interrupts(lines("interrupts")))
        ),
        files=files,
        there=frozenset(lines("there")),
        empty=frozenset(lines("empty")),
        read_only=mounted_read_only(lines("mounts"), _MOUNTS) | frozenset(lines("forbidden")),
        clocks=frozenset(unit.partition(".service")[0] for unit in lines("clocks")),
        irqbalance="irqbalance.service" in lines("irqbalance"),
    )


def _kib(name: str) -> int:
    """Of `hugepages-2048kB`."""
    found = re.search(r"\d+", name)
    return int(found[0]) if found else 0
