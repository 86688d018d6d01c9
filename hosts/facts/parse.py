"""What a host's kernel says, as plain values. Pure."""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import NamedTuple

from tuning.rules import chosen


class Cpu(NamedTuple):
    cpu: int
    core: int
    socket: int
    node: int
    online: bool


def sysctls(lines: Iterable[str]) -> dict[str, str]:
    """Of `sysctl -a`: values in one spelling, numbers apart by one blank."""
    found: dict[str, list[str]] = {}
    for line in lines:
        key, equals, value = line.partition(" = ")
        if not equals and line.endswith(" ="):
            key, value = line[:-2], ""
        elif not equals:
            continue
        found.setdefault(key.strip(), []).append(one_spelling(value))
    return {key: "\n".join(values) for key, values in found.items()}


def one_spelling(value: str) -> str:
    return " ".join(value.split())


def cpus(lines: Iterable[str]) -> tuple[Cpu, ...]:
    """Of `lscpu --all --parse=CPU,CORE,SOCKET,NODE,ONLINE`; what it leaves out, as for a CPU that is off, is 0."""
    found = []
    for line in lines:
        fields = line.split(",")
        if line.startswith("#") or len(fields) < 5 or not fields[0].isdigit():  # noqa: PLR2004 - as asked
            continue
        numbers = [int(field) if field.isdigit() else 0 for field in fields[:4]]
        found.append(Cpu(numbers[0], numbers[1], numbers[2], numbers[3], fields[4].strip() != "N"))
    return tuple(found)


def values(lines: Iterable[str]) -> dict[str, str]:
    """Of lines `path<TAB>value`; of a switch the word that holds."""
    pairs = (line.partition("\t") for line in lines)
    return {path: chosen(value) for path, tab, value in pairs if tab}


def files(lines: Iterable[str]) -> dict[str, str]:
    """Of lines `path<TAB>content in base64`; one whose content is no UTF-8 text is left out."""
    found = {}
    for line in lines:
        path, tab, content = line.partition("\t")
        if not tab:
            continue
        try:
            found[path] = base64.b64decode(content, validate=True).decode()
        except (binascii.Error, UnicodeDecodeError):
            continue
    return found


def interrupts(lines: Iterable[str]) -> dict[int, str]:
    """Of /proc/interrupts: what each number is for, the last word of its line."""
    found = {}
    for line in lines:
        match = re.match(r"\s*(\d+):.*\s(\S+)\s*$", line)
        if match:
            found[int(match[1])] = match[2]
    return found


def depends(lines: Iterable[str]) -> tuple[str, ...]:
    """Of `modprobe --show-depends`: names in the order of loading, the module itself last; what is built in is none."""
    names = (
        PurePosixPath(fields[1]).name for line in lines if len(fields := line.split()) > 1 and fields[0] == "insmod"
    )
    return tuple(name.partition(".ko")[0].replace("-", "_") for name in names)


class Interface(NamedTuple):
    name: str
    rx_queues: int
    tx_queues: int
    irqs: tuple[int, ...]


def interfaces(lines: Iterable[str], allowed: Iterable[int]) -> tuple[Interface, ...]:
    """Of lines `name<TAB>queues…<TAB>interrupts…`; `allowed` are those /proc/interrupts shows."""
    there = set(allowed)
    found = []
    for line in lines:
        name, _, rest = line.partition("\t")
        queues, _, irqs = rest.partition("\t")
        names = queues.split()
        numbers = tuple(sorted({int(irq) for irq in irqs.split() if irq.isdigit()} & there))
        found.append(
            Interface(name, sum(q.startswith("rx-") for q in names), sum(q.startswith("tx-") for q in names), numbers)
        )
    return tuple(found)
