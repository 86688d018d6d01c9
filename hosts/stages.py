"""Stages of an installation: run one after another, each on a fresh look at the host, or shown without doing them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import NamedTuple

from pyinfra import host

from hosts import lock
from hosts.session import Session, Step
from stacks.commands.failures import Failure
from stacks.commands.output import Output


class Stage(NamedTuple):
    """`apply` calls pyinfra's operations."""

    name: str
    apply: Callable[[], None]


def go_through(session: Session, stages: Iterable[Stage], output: Output, *, dry: bool) -> list[str]:
    """What changed, or would. Raises Failure at the first stage that fails; what was done before stays."""
    changed: list[str] = []
    for stage in stages:
        with output.step(stage.name) as progress:
            steps = _planned(session, stage) if dry else session.run(_alone, stage.apply)
            mine = [step.name for step in steps if step.changed]
            progress(f"{len(mine)} to change" if dry else f"{len(mine)} changed")
        for name in mine:
            output.say(f"  {'would change' if dry else 'changed'}: {name}")
        changed += [f"{stage.name}: {name}" for name in mine]
    return changed


def _alone(apply: Callable[[], None]) -> None:
    """Nobody else changes the host meanwhile."""
    lock.take(host)
    apply()


def _planned(session: Session, stage: Stage) -> tuple[Step, ...]:
    """What a stage asks of the host may only be there when the one before has run."""
    try:
        return session.plan(stage.apply)
    except Failure as error:
        return (Step(f"what cannot be seen yet ({error})", changed=True),)
