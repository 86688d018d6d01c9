"""Want and have become a verdict, of everything that a plan is about. Pure: whoever reads a host says what it has."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, Literal, TypeAlias

import msgspec

from tuning import drop_ins
from tuning.barred import barred
from tuning.clock import MOST_SECONDS, REASON, SOURCE, Clock
from tuning.given import Given
from tuning.pairs import PARTNERS
from tuning.planned import Planned
from tuning.profile import Rule
from tuning.rules import chosen, satisfied

Verdict: TypeAlias = Literal["ok", "missing", "differs", "shadowed", "skipped", "unavailable"]
_NOTHING: Final = "nothing"
_WANTED: Final[Mapping[Rule, str]] = {
    "at_least": "at least {}",
    "at_most": "at most {}",
    "exactly": "{}",
    "as_wide": "as wide as {}",
    "includes": "{} among them",
}


class Row(msgspec.Struct, frozen=True):
    """`shadowed`: right now, and not after the next boot; `skipped`: the kernel's own value is better and stays."""

    what: str
    want: str
    have: str
    verdict: Verdict
    why: str


def value(planned: Planned, have: str | None, boot: Given | None) -> Row:
    """Of a sysctl or a switch. `have`: as the kernel spells it; `boot`: who gives it its value at the next boot."""
    if planned.action == "unavailable":
        return _row(planned, have, "unavailable", planned.why)
    if have is None:
        return _row(planned, None, "missing", "it cannot be read: the kernel has it no more, or may not be asked")
    if not _as_planned(planned, chosen(have)):
        return _row(planned, have, "differs", "somebody changed it since: make tune")
    return _after_boot(planned, have, boot)


def module(planned: Planned, configuration: str, *, loaded: bool, at_boot: bool) -> Row:
    """`configuration`: what `modprobe --showconfig` prints; `at_boot`: whether a file of ours is to load it."""
    if loaded:
        line = barred(planned.setting.key, configuration) if at_boot else ""
        if line:
            why = f"it is not loaded at the next boot: modprobe.d has {line!r}; remove it there"
            return _row(planned, "loaded", "shadowed", why)
        return _row(planned, "loaded", "ok", planned.why)
    if planned.action == "unavailable":
        return _row(planned, None, "unavailable", planned.why)
    return _row(planned, None, "missing", f"it is not loaded: modprobe {planned.setting.key}, or make tune")


def file(path: str, want: str, have: str | None, everything: str) -> Row:
    """`everything`: of a file that has others beside it, what its reader reads of all, see `tuning.drop_ins`."""
    lines = f"{len(want.splitlines())} lines"
    if have is None:
        return Row(path, lines, _NOTHING, "missing", "there is no such file: make tune")
    if have != want:
        first = next((line for line in have.splitlines() if line not in want.splitlines()), "a line less")
        return Row(path, lines, "something else", "differs", f"{first.strip()!r} is not ours: make tune")
    if other := drop_ins.overruled(path, want, everything):
        return Row(path, lines, lines, "shadowed", f"{other}; remove it there")
    return Row(path, lines, lines, "ok", "as it was written")


def clock(have: Clock | None, *, synchronised: bool, container: str) -> Row:
    """`have`: what the daemon that keeps the clock says; `synchronised`: whether the kernel holds it to be."""
    what, want = "clock", f"within {MOST_SECONDS:g} s"
    if have and have.good:
        return Row(
            what, want, str(have), "ok", f"{have.keeper} says so, and may be wrong by {have.bound:.6f} s. {REASON}"
        )
    if have and have.offset is None:
        why = f"{have.keeper} has no server that it believes; let NTP (UDP port 123) out, see `chronyc sources`"
        return Row(what, want, str(have), "differs", why)
    if have:
        why = f"{have.keeper} says so; it comes nearer by itself, or at once by `chronyc makestep` ({SOURCE})"
        return Row(what, want, str(have), "differs", why)
    if container:
        return Row(what, want, _NOTHING, "unavailable", f"a {container} container's clock is the machine's")
    if synchronised:
        return Row(what, want, "synchronised", "unavailable", "what keeps the clock does not say how far it is off")
    return Row(what, want, _NOTHING, "missing", "nothing keeps the clock: make tune, or systemctl enable --now chrony")


def _as_planned(planned: Planned, have: str) -> bool:
    """Of what is set a value that somebody made better since is as planned too: `tune` leaves it."""
    return (
        planned.over(have) == have if planned.action == "set" else satisfied(planned.setting.rule, planned.want, have)
    )


def _after_boot(planned: Planned, have: str, boot: Given | None) -> Row:
    """Of what is right now."""
    key, ours = planned.setting.key, planned.action == "set"
    if boot is None and ours:
        return _row(planned, have, "missing", "the kernel has it, but no file gives it at the next boot: make tune")
    if boot and boot.value is None and ours:
        return _row(
            planned, have, "shadowed", f"{boot.path} names it first, so our line counts no more; remove it there"
        )
    if boot and boot.value is not None:
        if boot.key == PARTNERS.get(key):
            why = f"at the next boot {boot.path} gives {boot.key} = {boot.value}, which makes this 0; remove it there"
            return _row(planned, have, "shadowed", why)
        if not _as_planned(planned, boot.value):
            why = f"at the next boot {boot.path} gives {boot.value}, after or instead of ours; remove it there"
            return _row(planned, have, "shadowed", why)
    better = ours and chosen(have) != planned.want
    why = "somebody set it since to what is as good; make tune leaves it" if better else planned.why
    return _row(planned, have, "skipped" if planned.action == "refused_lower" else "ok", why)


def _row(planned: Planned, have: str | None, verdict: Verdict, why: str) -> Row:
    """What is set is wanted as it is; of anything else, and of what is better, the rule is said."""
    as_is = planned.action == "set" and (verdict != "ok" or chosen(have or "") == planned.want)
    want = planned.want if as_is else _WANTED[planned.setting.rule].format(planned.want)
    if planned.setting.kind == "module":
        want = "loaded"
    return Row(planned.setting.key, want, _NOTHING if have is None else chosen(have), verdict, why)
