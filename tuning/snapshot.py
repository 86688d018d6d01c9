"""What a host was like where tuning changes it, and the way back."""

from __future__ import annotations

from typing import Final

import msgspec

from tuning.interrupt_unit import numbered
from tuning.machine import Machine, folders, unfinished
from tuning.pairs import PARTNERS, brought_by
from tuning.plan import Plan
from tuning.rules import chosen

_BOOT: Final = "kernel.random.boot_id"


class Packages(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What apt said, before it ran, that it would do.

    `installed`: names; `removed`: versions by name; `automatic`: those of `removed` that were there for others' sake;
    `clocks`: the units that kept the clock.
    """

    installed: tuple[str, ...] = ()
    removed: dict[str, str] = {}
    automatic: tuple[str, ...] = ()
    clocks: tuple[str, ...] = ()


class Snapshot(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Former values: sysctls by key, /sys by path, files by path (None: there was none).

    `modules`: not loaded then, to be unloaded in this order; `folders`: not there then, deepest first; `boot`: of the numbers
    of interrupts, if there are any. A snapshot of an older version has none of the last three.
    """

    sysctls: dict[str, str]
    sysfs: dict[str, str]
    modules: tuple[str, ...]
    files: dict[str, str | None]
    folders: tuple[str, ...] = ()
    packages: Packages | None = None
    boot: str = ""


class Undo(msgspec.Struct, frozen=True):
    """What to write, in this order; `modules`: to unload, after all else; `files`: to write, or to remove (None).

    `unfinished`: files that a write left when the machine went down; `folders`: to be removed if they are empty then.
    """

    sysctls: dict[str, str]
    sysfs: dict[str, str]
    modules: tuple[str, ...]
    files: dict[str, str | None]
    unfinished: tuple[str, ...] = ()
    folders: tuple[str, ...] = ()


def take(plan: Plan, machine: Machine, packages: Packages | None = None, places: tuple[str, ...] = ()) -> Snapshot:
    """Of all that the plan changes, and of what the kernel changes along with it. `machine`: as it is now.

    `places`: files besides the plan's that will be written.
    """
    done = [one.setting for one in plan.settings if one.action == "set"]
    keys = [setting.key for setting in done if setting.kind == "sysctl"]
    pairs = dict.fromkeys(key for mine in keys for key in (mine, PARTNERS.get(mine, mine)))
    paths = [setting.key for setting in done if setting.kind == "sysfs"]
    loading = [setting.key for setting in done if setting.kind == "module" and setting.key not in machine.modules]
    return Snapshot(
        sysctls={key: machine.sysctls[key] for key in pairs if key in machine.sysctls},
        sysfs={path: chosen(machine.sysfs[path]) for path in paths if path in machine.sysfs},
        modules=tuple(name for key in loading for name in _with_brought(key, machine) if name not in machine.modules),
        files={path: machine.files.get(path) for path in plan.files},
        folders=tuple(folder for folder in folders((*plan.files, *places)) if folder not in machine.there),
        packages=packages,
        boot=machine.sysctls.get(_BOOT, "") if any(map(numbered, paths)) else "",
    )


def merge(older: Snapshot, newer: Snapshot) -> Snapshot:
    """The older knows better: at the newer's time some values were ours already, as those of a module that we loaded are."""
    made = {*older.folders, *newer.folders}
    theirs = {key: value for key, value in newer.sysctls.items() if brought_by(key) not in older.modules}
    return Snapshot(
        sysctls=theirs | older.sysctls,
        sysfs=newer.sysfs | older.sysfs,
        modules=tuple(dict.fromkeys((*older.modules, *newer.modules))),
        files=newer.files | older.files,
        folders=tuple(sorted(made, key=lambda folder: (-folder.count("/"), folder))),
        packages=_both(older.packages, newer.packages),
        boot=newer.boot or older.boot,
    )


def encode(snapshot: Snapshot) -> str:
    return msgspec.json.format(msgspec.json.encode(snapshot, order="sorted")).decode() + "\n"


def decode(text: str) -> Snapshot:
    """Raises msgspec.MsgspecError."""
    return msgspec.json.decode(text, type=Snapshot)


def of_boot(snapshot: Snapshot, machine: Machine) -> Snapshot:
    """Without the interrupts of another boot: their numbers may be other devices' now, and no value of ours holds there."""
    if not snapshot.boot or snapshot.boot == machine.sysctls.get(_BOOT, snapshot.boot):
        return snapshot
    kept = {path: value for path, value in snapshot.sysfs.items() if not numbered(path)}
    return msgspec.structs.replace(snapshot, sysfs=kept)


def original(snapshot: Snapshot, machine: Machine) -> Machine:
    """The machine as it would be had it never been tuned: what a plan is made from."""
    sysctls = machine.sysctls | snapshot.sysctls
    return msgspec.structs.replace(
        machine,
        sysctls={key: value for key, value in sysctls.items() if brought_by(key) not in snapshot.modules},
        sysfs=machine.sysfs | snapshot.sysfs,
        modules=machine.modules - set(snapshot.modules),
        files=machine.files | snapshot.files,
        there=machine.there - set(snapshot.folders),
        clocks=frozenset(snapshot.packages.clocks) if snapshot.packages else machine.clocks,
    )


def undo(snapshot: Snapshot, machine: Machine) -> Undo:
    """What differs from the snapshot. Keys and switches that are gone from the kernel are left out.

    What somebody set after the first tuning, be it better than ours, goes too: what comes back is what was before it.
    """
    return Undo(
        sysctls={key: value for key, value in snapshot.sysctls.items() if _to_write(key, snapshot, machine)},
        sysfs={
            path: value
            for path, value in snapshot.sysfs.items()
            if path in machine.sysfs and chosen(machine.sysfs[path]) != value
        },
        modules=tuple(module for module in snapshot.modules if module in machine.modules),
        files={path: text for path, text in snapshot.files.items() if machine.files.get(path) != text},
        unfinished=tuple(new for new in map(unfinished, snapshot.files) if new in machine.there),
        folders=tuple(folder for folder in snapshot.folders if folder in machine.there),
    )


def dropped(snapshot: Snapshot, plan: Plan, machine: Machine) -> Undo:
    """What an earlier plan changed and this one does not: to be put back before this one is written.

    But for interrupts that irqbalance places: it would do so again, and the next run find them changed.
    """
    done = [one.setting for one in plan.settings if one.action == "set"]
    kept = {key for setting in done for key in (setting.key, PARTNERS.get(setting.key, setting.key))}
    modules = {name for setting in done if setting.kind == "module" for name in _with_brought(setting.key, machine)}
    gone = [path for path, text in snapshot.files.items() if path not in plan.files and machine.files.get(path) != text]
    left = set(folders(gone)) - set(folders(plan.files))
    return undo(
        Snapshot(
            sysctls={key: value for key, value in snapshot.sysctls.items() if key not in kept},
            sysfs={
                path: value
                for path, value in snapshot.sysfs.items()
                if path not in kept and not (machine.irqbalance and numbered(path))
            },
            modules=tuple(module for module in snapshot.modules if module not in modules),
            files={path: text for path, text in snapshot.files.items() if path not in plan.files},
            folders=tuple(folder for folder in snapshot.folders if folder in left),
        ),
        machine,
    )


def _with_brought(module: str, machine: Machine) -> tuple[str, ...]:
    """In the order of unloading: what needs others first."""
    return (module, *reversed(machine.depends.get(module, ())))


def _both(older: Packages | None, newer: Packages | None) -> Packages | None:
    if older is None or newer is None:
        return older or newer
    return Packages(
        installed=tuple(dict.fromkeys((*older.installed, *newer.installed))),
        removed=newer.removed | older.removed,
        automatic=tuple(dict.fromkeys((*older.automatic, *newer.automatic))),
        clocks=older.clocks,
    )


def _to_write(key: str, snapshot: Snapshot, machine: Machine) -> bool:
    """Of a pair the one that holds is written, which clears the other; what goes with its module needs no value."""
    value = snapshot.sysctls[key]
    if machine.sysctls.get(key, value) == value or brought_by(key) in snapshot.modules:
        return False
    return value != "0" or snapshot.sysctls.get(PARTNERS.get(key, ""), "0") == "0"
