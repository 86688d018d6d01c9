"""Want, have and verdict of everything that a plan is about."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

import msgspec

from tuning.deciding import current_of
from tuning.machine import Machine
from tuning.pairs import PARTNERS
from tuning.plan import Plan, Planned
from tuning.rules import satisfied
from tuning.shadow import Given, boot, winner

Verdict: TypeAlias = Literal["ok", "missing", "differs", "shadowed", "skipped", "unavailable"]
_NOTHING: Final = "nothing"


class Row(msgspec.Struct, frozen=True):
    """`shadowed`: right now, and not after the next boot; `skipped`: the kernel's own value is better and stays."""

    what: str
    want: str
    have: str
    verdict: Verdict
    why: str


def rows(plan: Plan, machine: Machine) -> tuple[Row, ...]:
    """Of each setting and each file. `machine`: as it is now."""
    given = boot(machine.files)
    return (
        *(_setting(one, machine, given) for one in plan.settings),
        *(_file(path, text, machine.files.get(path)) for path, text in plan.files.items()),
    )


def _setting(planned: Planned, machine: Machine, given: tuple[Given, ...]) -> Row:
    key = planned.setting.key
    if planned.setting.kind == "module":
        return _module(planned, machine)
    have = current_of(planned.setting, machine)
    shown = _NOTHING if have is None else have
    if planned.action == "unavailable":
        return Row(key, planned.want, shown, "unavailable", planned.why)
    if have is None:
        return Row(key, planned.want, shown, "missing", "the kernel has no such key any more")
    good = have == planned.want if planned.action == "set" else satisfied(planned.setting.rule, planned.want, have)
    if not good:
        return Row(key, planned.want, shown, "differs", "it was changed since: make tune")
    return _after_boot(planned, shown, given)


def _after_boot(planned: Planned, shown: str, given: tuple[Given, ...]) -> Row:
    """Of what is right now."""
    key = planned.setting.key
    final = winner(key, given) if planned.setting.kind == "sysctl" else None
    if final and not _agrees(planned, final):
        why = f"{final.path} gives {final.key} = {final.value} at the next boot; remove it there"
        return Row(key, planned.want, shown, "shadowed", why)
    if final is None and planned.action == "set" and planned.setting.kind == "sysctl":
        return Row(key, planned.want, shown, "missing", "no file gives it at the next boot: make tune")
    return Row(key, planned.want, shown, "skipped" if planned.action == "refused_lower" else "ok", planned.why)


def _agrees(planned: Planned, final: Given) -> bool:
    if final.key == PARTNERS.get(planned.setting.key):
        return False
    if planned.action == "set":
        return final.value == planned.want
    return satisfied(planned.setting.rule, planned.want, final.value or "")


def _module(planned: Planned, machine: Machine) -> Row:
    key = planned.setting.key
    if key in machine.modules:
        return Row(key, "loaded", "loaded", "ok", planned.why)
    if planned.action == "unavailable":
        return Row(key, "loaded", _NOTHING, "unavailable", planned.why)
    return Row(key, "loaded", _NOTHING, "missing", "it is not loaded: make tune")


def _file(path: str, want: str, have: str | None) -> Row:
    lines = f"{len(want.splitlines())} lines"
    if have is None:
        return Row(path, lines, _NOTHING, "missing", "there is no such file: make tune")
    if have == want:
        return Row(path, lines, lines, "ok", "as it was written")
    return Row(path, lines, f"{len(have.splitlines())} lines", "differs", "it was changed since: make tune")
