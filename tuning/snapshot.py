"""What a host was like where tuning changes it, and the way back."""

from __future__ import annotations

import msgspec

from tuning.machine import Machine
from tuning.pairs import PARTNERS, brought_by
from tuning.plan import Plan
from tuning.rules import chosen


class Snapshot(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Former values: sysctls by key, /sys by path, files by path (None: there was none); modules that were not loaded."""

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
    """Of all that the plan changes, and of what the kernel changes along with it. `machine`: as it is now."""
    done = [one.setting for one in plan.settings if one.action == "set"]
    keys = [setting.key for setting in done if setting.kind == "sysctl"]
    pairs = dict.fromkeys(key for mine in keys for key in (mine, PARTNERS.get(mine, mine)))
    paths = [setting.key for setting in done if setting.kind == "sysfs"]
    return Snapshot(
        sysctls={key: machine.sysctls[key] for key in pairs if key in machine.sysctls},
        sysfs={path: chosen(machine.sysfs[path]) for path in paths if path in machine.sysfs},
        modules=tuple(
            setting.key for setting in done if setting.kind == "module" and setting.key not in machine.modules
        ),
        files={path: machine.files.get(path) for path in plan.files},
    )


def merge(older: Snapshot, newer: Snapshot) -> Snapshot:
    """The older knows better: at the newer's time some values were ours already."""
    return Snapshot(
        sysctls=newer.sysctls | older.sysctls,
        sysfs=newer.sysfs | older.sysfs,
        modules=tuple(dict.fromkeys((*older.modules, *newer.modules))),
        files=newer.files | older.files,
    )


def encode(snapshot: Snapshot) -> str:
    return msgspec.json.format(msgspec.json.encode(snapshot, order="sorted")).decode() + "\n"


def decode(text: str) -> Snapshot:
    """Raises msgspec.MsgspecError."""
    return msgspec.json.decode(text, type=Snapshot)


def original(snapshot: Snapshot, machine: Machine) -> Machine:
    """The machine as it would be had it never been tuned: what a plan is made from."""
    sysctls = machine.sysctls | snapshot.sysctls
    return msgspec.structs.replace(
        machine,
        sysctls={key: value for key, value in sysctls.items() if brought_by(key) not in snapshot.modules},
        sysfs=machine.sysfs | snapshot.sysfs,
        modules=machine.modules - set(snapshot.modules),
        files=machine.files | snapshot.files,
    )


def undo(snapshot: Snapshot, machine: Machine) -> Undo:
    """What differs from the snapshot. Keys and switches that are gone from the kernel are left out."""
    return Undo(
        sysctls={key: value for key, value in snapshot.sysctls.items() if _to_write(key, snapshot, machine)},
        sysfs={
            path: value
            for path, value in snapshot.sysfs.items()
            if path in machine.sysfs and chosen(machine.sysfs[path]) != value
        },
        modules=tuple(module for module in snapshot.modules if module in machine.modules),
        files={path: text for path, text in snapshot.files.items() if machine.files.get(path) != text},
    )


def dropped(snapshot: Snapshot, plan: Plan, machine: Machine) -> Undo:
    """What an earlier plan changed and this one does not: to be put back before this one is written."""
    done = [one.setting for one in plan.settings if one.action == "set"]
    kept = {key for setting in done for key in (setting.key, PARTNERS.get(setting.key, setting.key))}
    return undo(
        Snapshot(
            sysctls={key: value for key, value in snapshot.sysctls.items() if key not in kept},
            sysfs={path: value for path, value in snapshot.sysfs.items() if path not in kept},
            modules=tuple(module for module in snapshot.modules if module not in kept),
            files={path: text for path, text in snapshot.files.items() if path not in plan.files},
        ),
        machine,
    )


def _to_write(key: str, snapshot: Snapshot, machine: Machine) -> bool:
    """Of a pair the one that holds is written, which clears the other; what goes with its module needs no value."""
    value = snapshot.sysctls[key]
    if machine.sysctls.get(key, value) == value or brought_by(key) in snapshot.modules:
        return False
    return value != "0" or snapshot.sysctls.get(PARTNERS.get(key, ""), "0") == "0"
