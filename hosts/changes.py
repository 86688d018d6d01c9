"""What a plan would change on a host, as a person reads it: a diff. Pure."""

from __future__ import annotations

import difflib
from collections.abc import Iterator

from tuning.machine import Machine
from tuning.plan import Plan, Planned
from tuning.profile import Setting
from tuning.since import since
from tuning.snapshot import Undo


def lines(plan: Plan, machine: Machine) -> Iterator[str]:
    """Of a plan against a host as it is."""
    for one in settings(plan, machine):
        have = value(machine, one.setting)
        if have is not None and one.setting.kind != "module":
            yield f"-{one.setting.key} = {have}"
        yield f"+module {one.setting.key}" if one.setting.kind == "module" else f"+{one.setting.key} = {one.want}"
    for path, text in plan.files.items():
        yield from of_file(path, machine.files.get(path), text)


def back(undo: Undo, machine: Machine) -> Iterator[str]:
    """Of what is put back on a host as it is."""
    for key, now, value in values_back(undo, machine):
        yield f"-{key} = {now}"
        yield f"+{key} = {value}"
    yield from (f"-module {module}" for module in undo.modules)
    for path, text in undo.files.items():
        yield from of_file(path, machine.files.get(path), text)
    yield from (f"-{path}" for path in undo.unfinished)


def values_back(undo: Undo, machine: Machine) -> Iterator[tuple[str, str | None, str]]:
    """Key, the value of now, and the one that is put back."""
    for key, value in (undo.sysctls | undo.sysfs).items():
        now = machine.sysctls.get(key, machine.sysfs.get(key))
        if now != value:
            yield key, now, value


def settings(plan: Plan, machine: Machine) -> Iterator[Planned]:
    """Those to be set that the host does not have as wanted, against what it has now."""
    return (one for one in since(plan, machine) if one.action == "set" and value(machine, one.setting) != one.want)


def value(machine: Machine, setting: Setting) -> str | None:
    """As the host has it; of a module '' when it is loaded. None: it has it not."""
    match setting.kind:
        case "sysctl":
            return machine.sysctls.get(setting.key)
        case "sysfs":
            return machine.sysfs.get(setting.key)
        case "module":
            return "" if setting.key in machine.modules else None


def of_file(path: str, have: str | None, want: str | None) -> Iterator[str]:
    """A unified diff; None: there is none."""
    if have == want:
        return
    yield from (
        line.rstrip("\n")
        for line in difflib.unified_diff(
            (have or "").splitlines(),
            (want or "").splitlines(),
            "/dev/null" if have is None else path,
            "/dev/null" if want is None else path,
            lineterm="",
        )
    )
