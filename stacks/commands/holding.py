"""Whether what is deployed stands, asked of its target: before an update touches the next gateway, and after it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from stacks import watched
from stacks.commands import cluster_standing, docker_standing, served
from stacks.commands.client import Edge
from stacks.commands.failures import Failure
from stacks.commands.output import Output
from stacks.commands.pulumi_cli import Configuration
from stacks.commands.stack import Previewed
from stacks.commands.standing import Part, Watch, describe, outage
from stacks.secrets import Secrets, useful
from stacks.spec import Deployment

ACCEPT: Final = "--interrupt"
_POLL: Final = 1.0
# By us; an issued one comes from the cluster.
_GIVEN: Final = frozenset({"generated", "provided"})
# A gateway's first start takes two minutes at most (stacks/components/gateway.py).
_STARTING_SECONDS: Final = 150.0


def read(spec: Deployment, environ: Mapping[str, str]) -> list[Part]:
    """Raises Failure when the target does not say."""
    return cluster_standing.read(spec) if spec.topology == "kubernetes" else docker_standing.read(spec, environ)


def gateways(spec: Deployment, environ: Mapping[str, str]) -> list[Part]:
    """Of compose: its gateways in the order of their replacement. Else none. Raises Failure.

    Kubernetes sees to it itself; of single there is one.
    """
    if spec.topology != "compose":
        return []
    return [part for part in docker_standing.read(spec, environ) if part.role == "gateway"]


def settled(spec: Deployment, environ: Mapping[str, str], output: Output) -> list[Part]:
    """The same when none of them is starting any more, or for too long. Raises Failure."""
    parts = gateways(spec, environ)
    if not _starting(parts):
        return parts
    with output.step("waiting for gateways that are starting") as progress:
        deadline = time.monotonic() + _STARTING_SECONDS
        while (starting := _starting(parts)) and time.monotonic() < deadline:
            progress(", ".join(starting))
            time.sleep(_POLL)
            parts = gateways(spec, environ)
    return parts


def _starting(parts: Sequence[Part]) -> list[str]:
    return [part.name for part in parts if part.state == "starting"]


def broken(spec: Deployment, chain: Sequence[Part]) -> Iterator[tuple[str, str]]:
    """Resource and reason of those that an update must make anew though nothing of them changes.

    Pulumi holds a container that is there for good, so a repeated `up` would go on to the next gateway.
    """
    for part in chain:
        if part.state != "well":
            yield part.name.removeprefix(f"{spec.name}-"), describe(part)


def check(spec: Deployment, chain: Sequence[Part], previewed: Previewed, stack: str, verb: str = "up") -> None:
    """Raises Failure when what is replaced leaves no gateway that serves."""
    if spec.topology == "compose" and chain and previewed.networks:
        raise Failure(
            f"{', '.join(sorted(previewed.networks))}: made anew, and all that is in a network goes with it, at once: gateways, "
            "their stores, the balancer. Nothing was changed. Put docker.subnet back; or, if nobody may trade for a while: "
            f"make {verb} STACK={stack} ARGS={ACCEPT}"
        )
    last = outage(chain, {f"{spec.name}-{name}" for name in previewed.replaced})
    if not last:
        return
    others = "\n".join(f"  {describe(part)}" for part in chain if part.state != "well")
    raise Failure(
        f"{last} is the only gateway that serves, and it would be replaced first. Nothing was changed. The others:\n{others}\n"
        f"See why: docker logs NAME. Bring one back as it is: docker restart NAME. Or, if nobody may trade for a while: "
        f"make {verb} STACK={stack} ARGS={ACCEPT}"
    )


def hold(
    spec: Deployment,
    configuration: Configuration,
    environ: Mapping[str, str],
    edge: Edge,
    output: Output,
    seconds: float,
) -> int:
    """Until every part is well and steady and the edge is what it was given; how many parts. Raises Failure with what is not."""
    wanted = cluster_standing.wanted(spec) if spec.topology == "kubernetes" else tuple(docker_standing.wanted(spec))
    watch = Watch(wanted, _digest(spec, configuration))
    given = configuration.secrets.get("tls_certificate", "") if spec.edge.tls.source in _GIVEN else ""
    with output.step("looking at every part") as progress:
        deadline = time.monotonic() + seconds
        while True:
            parts = read(spec, environ)
            wrong = watch.wrong(parts, time.monotonic())
            if given and (said := served.other(edge, given)):
                wrong.append(said)
            if not wrong:
                progress(f"{len(parts)} stand")
                return len(parts)
            if time.monotonic() >= deadline:
                break
            progress(wrong[0])
            time.sleep(_POLL)
    lines = "\n".join(f"  {one}" for one in wrong)
    logs = f"kubectl --namespace {spec.name} logs" if spec.topology == "kubernetes" else "docker logs"
    raise Failure(f"It serves, but not all of it stands after {seconds:g} s. See why: {logs} NAME\n{lines}")


def _digest(spec: Deployment, configuration: Configuration) -> str:
    """Of what the balancers are to run; empty when there is none of ours."""
    if not spec.replicas("balancer"):
        return ""
    return watched.digest(watched.files(spec, Secrets(**useful(configuration.secrets, spec))))
