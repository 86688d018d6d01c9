"""What a host was like where tuning changes it, and the way back."""

from __future__ import annotations

import msgspec

from tuning.machine import Machine
from tuning.plan import Plan


class Snapshot(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Former values: sysctls by key, switches of /sys by path, files by path (None: there was none); modules that were not loaded."""

    sysctls: dict[str, str]
    sysfs: dict[str, str]
    modules: tuple[str, ...]
    files: dict[str, str | None]


class Undo(msgspec.Struct, frozen=True):
    """What to write, in this order; `modules`: to unload, after all else; `files`: to write, or to remove (None)."""

    sysctls: dict[str, str]
    sysfs: dict[str, str]
    modules: tuple[str, ...]
    files: dict[str, str | None]


def take(plan: Plan, machine: Machine) -> Snapshot:
    raise NotImplementedError


def merge(older: Snapshot, newer: Snapshot) -> Snapshot:
    raise NotImplementedError


def encode(snapshot: Snapshot) -> str:
    return msgspec.json.format(msgspec.json.encode(snapshot, order="sorted")).decode() + "\n"


def decode(text: str) -> Snapshot:
    """Raises msgspec.MsgspecError."""
    return msgspec.json.decode(text, type=Snapshot)


def original(snapshot: Snapshot, machine: Machine) -> Machine:
    raise NotImplementedError


def undo(snapshot: Snapshot, machine: Machine) -> Undo:
    raise NotImplementedError
