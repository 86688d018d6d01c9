"""What is taken away, and what is kept unless its loss is confirmed."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from stacks import names
from stacks.commands import docker_volumes, releases, strangers
from stacks.commands.changes import Change, name_of
from stacks.commands.failures import Failure
from stacks.commands.pulumi_errors import explain
from stacks.commands.stack import Stack, steps_of
from stacks.document import load
from stacks.refusals import SpecError
from stacks.spec import Deployment


class Going(NamedTuple):
    """`kept` holds data and stays; `protected` of them by Pulumi's word; `data` are the volumes that go after all else."""

    changes: Sequence[Change]
    kept: Sequence[str]
    protected: Sequence[str] = ()
    data: Sequence[str] = ()

    def document(self) -> dict[str, Any]:
        return {"changes": [one._asdict() for one in self.changes], "kept": list(self.kept), "data": list(self.data)}


def look(stack: Stack, confirm: str) -> Going:
    """What would go. Raises Failure for a confirmation of something else."""
    if confirm and confirm != stack.name:
        raise Failure(f"CONFIRM={confirm} is not the stack's name. To delete its data too: CONFIRM={stack.name}")
    guarded = [] if confirm else protected(stack)
    arguments = ["destroy", "--preview-only", "--json", "--stack", stack.name, *_data(confirm, guarded)]
    with stack.output.step("looking at what is there"):
        done = stack.pulumi.run(arguments, check=False)
    steps = steps_of(done)
    if done.code:
        raise Failure(explain(f"{steps.errors()}\n{done.err}", backend=stack.pulumi.backend))
    spec = stack.project.deployment(stack.name)
    strangers.check(spec, stack.pulumi.environ, stack.containers(), stack.name)
    volumes = _data_volumes(stack, spec)
    going = [one for one in steps.changes() if one.op != "keep"]
    return Going(going, [] if confirm else [*guarded, *volumes], guarded, volumes if confirm else [])


def destroy(stack: Stack, going: Going, confirm: str) -> int:
    """How many resources went, and volumes with data."""
    stack.apply("destroy", _data(confirm, going.protected))
    if going.data:
        with stack.output.step("deleting data"):
            docker_volumes.remove(stack.project.deployment(stack.name), stack.pulumi.environ, going.data)
    path = stack.project.releases(stack.name)
    if confirm and (known := releases.read(path)) and known[-1].outcome != "destroyed":
        last = known[-1]
        ended = releases.begin(known, last.deployment, schema=0, commit="").ended("destroyed")
        releases.put(path, ended)
    return len(going.changes) + len(going.data)


def _data_volumes(stack: Stack, spec: Deployment) -> list[str]:
    """Those that this stack has or had: one of the same name may have left others there."""
    if spec.topology == "kubernetes":
        return []
    own = {*names.data_volumes(spec), *(str((one.get("outputs") or {}).get("name")) for one in stack.resources())}
    for release in releases.read(stack.project.releases(stack.name)):
        with suppress(SpecError):  # a program of before took it
            own |= set(names.data_volumes(load(release.deployment)))
    there = docker_volumes.data(spec, stack.pulumi.environ)
    if others := [name for name in there if name not in own]:
        stack.output.say(f"Left alone, for no release of stack {stack.name} had them: {', '.join(others)}.", "yellow")
    return [name for name in there if name in own]


def protected(stack: Stack) -> list[str]:
    """Names of the resources that Pulumi does not delete without more."""
    return sorted(name_of(one["urn"]) for one in stack.resources() if one.get("protect"))


def _data(confirm: str, guarded: Sequence[str]) -> list[str]:
    if confirm:
        return ["--ignore-protect"]
    return ["--exclude-protected"] if guarded else []
