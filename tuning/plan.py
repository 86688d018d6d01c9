"""From roles, machine, demand and choices to what is set, kept and refused."""

from __future__ import annotations

from collections.abc import Sequence

from tuning.choices import Choices
from tuning.demand import Demand
from tuning.errors import TuningError
from tuning.machine import Machine
from tuning.planned import Action, Plan, Planned
from tuning.profile import Role

__all__ = ["Action", "Plan", "Planned", "TuningError", "plan"]


def plan(roles: Sequence[Role], machine: Machine, demand: Demand, choices: Choices) -> Plan:
    """`machine`: as it was before it was first tuned. Raises TuningError with all conflicts."""
    raise NotImplementedError
