"""Whether containers and pods fit what there is, where the description says what that is."""

from __future__ import annotations

from collections.abc import Iterator

import msgspec

from stacks.refusals import Refusal
from stacks.spec import Capacity, Deployment
from stacks.units import kubernetes_cpu, kubernetes_memory


def problems(spec: Deployment) -> Iterator[Refusal]:
    if spec.kubernetes.max_replicas and spec.kubernetes.max_replicas < spec.gateways.replicas:
        rule = f"must be at least gateways.replicas, {spec.gateways.replicas}, or 0"
        yield Refusal("kubernetes.max_replicas", spec.kubernetes.max_replicas, rule, "raise it, or leave it out")
    if spec.topology == "kubernetes":
        yield from _pods(spec)
    elif spec.docker.capacity is not None:
        yield from _host(spec, spec.docker.capacity)


def _pods(spec: Deployment) -> Iterator[Refusal]:
    node = spec.kubernetes.node
    for role in spec.roles if node is not None else ():
        size = spec.container_size(role)
        yield from _fits(f"a pod of {role} has", "kubernetes.node", node, Capacity(size.cpu, size.memory))


def _host(spec: Deployment, capacity: Capacity) -> Iterator[Refusal]:
    sizes = [(spec.container_size(role), spec.replicas(role)) for role in spec.roles]
    needed = Capacity(sum(size.cpu * times for size, times in sizes), sum(size.memory * times for size, times in sizes))
    yield from _fits("all containers together have", "docker.capacity", capacity, needed)


def _fits(who: str, path: str, there: Capacity | None, needed: Capacity) -> Iterator[Refusal]:
    remedy = "give more, fewer replicas, or smaller sizes"
    for name, spelling in (("cpu", kubernetes_cpu), ("memory", kubernetes_memory)):
        has, needs = (msgspec.structs.asdict(one)[name] if one is not None else 0 for one in (there, needed))
        if needs > has:
            rule = f"must be at least {needs}: {who} {spelling(needs)}"
            yield Refusal(f"{path}.{name}", has, rule, remedy)
