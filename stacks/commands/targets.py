"""Which Docker host or cluster a deployment is on: a release records it, and no command goes on to another one by itself.

What selects it lies outside the stack file: a current context, KUBECONFIG, DOCKER_HOST.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final, NamedTuple

from stacks.commands import cluster_facts, docker_facts, releases
from stacks.commands.failures import Failure
from stacks.commands.releases import Release
from stacks.commands.stack import Stack
from stacks.spec import Deployment

ACCEPT: Final = "--target-changed"
# The first that both have decides: a cluster's namespace may not be everybody's to read, and a daemon may have no number.
_ORDER: Final = ("namespace", "daemon", "authority", "place")
_UNKNOWN: Final = "it cannot be told whether they are the same"


class Silent(Failure):
    """The target does not answer, or not who it is."""


class Target(NamedTuple):
    """`where`: for a person; `identity`: by what it is known, see _ORDER."""

    where: str
    identity: Mapping[str, str]


def read(spec: Deployment, environ: Mapping[str, str]) -> Target:
    """Raises Silent."""
    try:
        if spec.topology == "kubernetes":
            return Target(f"cluster of context {cluster_facts.context(spec)}", cluster_facts.identity(spec))
        return Target(f"Docker at {docker_facts.host(spec, environ)}", docker_facts.identity(spec, environ))
    except Failure as error:
        raise Silent(str(error)) from error


def check(stack: str, known: Sequence[Release], target: Target, verb: str = "up") -> None:
    """Raises Failure when the deployment is on another one, or may be. One that was destroyed is on none."""
    last = known[-1] if known else None
    if last is None or last.outcome == "destroyed" or not last.target:
        return
    differs = differ(last.target, target.identity)
    if not differs:
        return
    raise Failure(
        f"Stack {stack} is deployed elsewhere: its release {last.id} went to {_words(last.target)}, and the {target.where} is "
        f"{_words(target.identity)}; {differs}. A deployment does not move, nor do its data. Nothing was changed. "
        "Select the old one (current context, KUBECONFIG, DOCKER_HOST; for good docker.host or kubernetes.context), or destroy "
        "it there first. When this is the same one with a new identity, or that one is lost: "
        f"make {verb} STACK={stack} ARGS={ACCEPT}"
    )


def check_name(stack: str, known: Sequence[Release], spec: Deployment, verb: str = "up") -> None:
    """Raises Failure where the description has another name or topology: its stores would be others, and empty."""
    last = known[-1] if known else None
    if last is None or last.outcome == "destroyed":
        return
    usual = {"name": Deployment(topology=spec.topology).name, "topology": spec.topology}
    for field, default in usual.items():
        before, now = last.deployment.get(field, default), getattr(spec, field)
        if before != now:
            raise Failure(
                f"{field} = {now}: release {last.id} of stack {stack} has {field} {before}. What is deployed would go, and its "
                f"data stay where no gateway finds them. Nothing was changed. Put {before} back, or make a stack for {now}. "
                f"When it is meant: make {verb} STACK={stack} ARGS={ACCEPT}"
            )


def guard(stack: Stack, spec: Deployment, verb: str) -> None:
    """The same with what is recorded and what is there. Raises Failure; a target is only asked when one is recorded."""
    known = releases.read(stack.project.releases(stack.name))
    if known and known[-1].target:
        check(stack.name, known, read(spec, stack.pulumi.environ), verb)


def differ(recorded: Mapping[str, str], found: Mapping[str, str]) -> str:
    """What differs, or that nobody knows; empty for the same."""
    for kind in _ORDER:
        if recorded.get(kind) and found.get(kind):
            return "" if recorded[kind] == found[kind] else f"the {kind} differs"
    return _UNKNOWN


def _words(identity: Mapping[str, str]) -> str:
    return next((f"{kind} {identity[kind]}" for kind in _ORDER if identity.get(kind)), "one without an identity")
