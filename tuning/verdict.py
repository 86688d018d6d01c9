"""Want, have and verdict of everything that a plan is about."""

from __future__ import annotations

from typing import Literal, TypeAlias

import msgspec

from tuning.machine import Machine
from tuning.plan import Plan

Verdict: TypeAlias = Literal["ok", "missing", "differs", "shadowed", "skipped", "unavailable"]


class Row(msgspec.Struct, frozen=True):
    what: str
    want: str
    have: str
    verdict: Verdict
    why: str


def rows(plan: Plan, machine: Machine) -> tuple[Row, ...]:
    """`machine`: as it is now."""
    raise NotImplementedError
