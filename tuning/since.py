"""A plan against a host as it is now: what somebody has made better since it was tuned stays. Pure.

A plan is made from the host as it was before it was first tuned. What our files give at boot is our own earlier value, of a
larger demand perhaps, and nobody else's: that follows the plan.
"""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from tuning import shadow, tmpfiles
from tuning.deciding import current_of
from tuning.machine import SYSCTL_FILE, TMPFILES_FILE, Machine
from tuning.planned import Plan, Planned


def since(plan: Plan, machine: Machine) -> Iterator[Planned]:
    """Of each setting what is to become of the value of now, which is its `current` then."""
    ours = _given(machine)
    for one in plan.settings:
        have = current_of(one.setting, machine)
        if one.action != "set" or one.setting.kind == "module" or have is None:
            yield one
        else:
            yield _over(one, have, have if ours.get(one.setting.key) != have else None)


def _over(one: Planned, have: str, theirs: str | None) -> Planned:
    """`theirs`: the value of now, where it is not one of ours."""
    want = one.want if theirs is None else one.over(theirs)
    if want == have != one.want:
        action = "refused_lower" if one.setting.rule == "at_least" else "keep"
        why = f"somebody set {have} since, which stays: it is as good as {one.want}"
        return msgspec.structs.replace(one, want=have, current=have, action=action, why=why)
    return msgspec.structs.replace(one, want=want, current=have)


def _given(machine: Machine) -> dict[str, str | None]:
    """By key: what our files give."""
    sysctls = shadow.of_systemd(machine.files.get(SYSCTL_FILE) or "")
    switches = tmpfiles.of_systemd(machine.files.get(TMPFILES_FILE) or "")
    return {one.key: one.value for one in (*sysctls, *switches)}
