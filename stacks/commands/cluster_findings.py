"""Whether a deployment fits on a cluster."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from stacks import names
from stacks.commands.cluster_facts import Facts
from stacks.commands.findings import Finding
from stacks.spec import ROLES, Deployment
from stacks.units import kubernetes_memory

_OURS: Final = ("app.kubernetes.io/part-of", "veloz")
_CERT_MANAGER: Final = "cert-manager.io"


def findings(spec: Deployment, facts: Facts) -> Iterator[Finding]:
    """What is wanted and what is there, in the order in which it matters."""
    if facts.away:
        yield Finding("cluster", "an API server that answers", f"{facts.context}: {facts.away}", "refused",
                      "Check the network, KUBECONFIG and kubernetes.context: kubectl cluster-info.")  # fmt: skip
        return
    yield Finding("cluster", "an API server that answers", f"{facts.version} at {facts.context}")
    yield from _capacity(spec, facts)
    yield from _classes(spec, facts)
    yield from _claims(spec, facts)
    yield from _images(spec, facts)
    strange = facts.namespace is not None and facts.namespace.get(_OURS[0]) != _OURS[1]
    have = "absent" if facts.namespace is None else "of something else" if strange else "of a deployment of VeloZ"
    yield Finding("namespace", f"{spec.name}, ours", have, "refused" if strange else "ok",
                  "Give the deployment another name, or remove the namespace.")  # fmt: skip


def _capacity(spec: Deployment, facts: Facts) -> Iterator[Finding]:
    sizes = [spec.container_size(role) for role in ROLES for _ in range(spec.replicas(role))]
    cpu, memory = max(size.cpu for size in sizes), max(size.memory for size in sizes)
    fits = any(node.cpu >= cpu and node.memory >= memory for node in facts.nodes)
    largest = max(facts.nodes, key=lambda node: (node.cpu, node.memory), default=None)
    have = f"{largest.cpu / 1000:g} CPU, {largest.memory} MiB on {largest.name}" if largest else "no node takes pods"
    remedy = "Choose the profile minimum, less by sizes.COMPONENT, or larger nodes."
    yield Finding(
        "largest pod", f"{cpu / 1000:g} CPU, {memory} MiB on one node", have, "ok" if fits else "refused", remedy
    )
    all_cpu, all_memory = sum(size.cpu for size in sizes), sum(size.memory for size in sizes)
    there_cpu, there_memory = sum(node.cpu for node in facts.nodes), sum(node.memory for node in facts.nodes)
    fits = all_cpu <= there_cpu and all_memory <= there_memory
    yield Finding("all pods", f"{all_cpu / 1000:g} CPU, {all_memory} MiB", f"{there_cpu / 1000:g} CPU, {there_memory} MiB",
                  "ok" if fits else "refused", "Choose the profile minimum, fewer replicas, or more nodes.")  # fmt: skip


def _classes(spec: Deployment, facts: Facts) -> Iterator[Finding]:
    if any(spec.replicas(role) for role in ("postgres", "redis", "prometheus")):
        wanted = spec.kubernetes.storage_class
        there = wanted in facts.storage if wanted else any(facts.storage.values())
        yield Finding("storage class", wanted or "a default one", ", ".join(sorted(facts.storage)) or "none",
                      "ok" if there else "refused", "Name one of the cluster's by kubernetes.storage_class.")  # fmt: skip
    if spec.edge.kind == "ingress":
        wanted = spec.kubernetes.ingress_class
        there = wanted in facts.ingress if wanted else bool(facts.ingress)
        yield Finding("ingress class", wanted or "any", ", ".join(sorted(facts.ingress)) or "none", "ok" if there else "refused",
                      "Install an ingress controller, or choose edge.kind haproxy or nginx.")  # fmt: skip
    if spec.edge.tls.source == "issued":
        there = _CERT_MANAGER in facts.groups
        yield Finding("cert-manager", "its API", "there" if there else "absent", "ok" if there else "refused",
                      "Install cert-manager, or choose edge.tls.source generated or provided.")  # fmt: skip


def _claims(spec: Deployment, facts: Facts) -> Iterator[Finding]:
    """A StatefulSet's template of claims cannot be changed, and a claim that is there is taken whatever its size."""
    for role in ROLES:
        have, want = facts.claims.get(names.claim(role)), spec.size(role).disk
        if have is None or not spec.replicas(role) or have == want:
            continue
        of, name = f"kubectl --namespace {spec.name}", names.object_name(role)
        patch = f'{{"spec":{{"resources":{{"requests":{{"storage":"{kubernetes_memory(want)}"}}}}}}}}'
        grow = (
            f"To grow it, where its storage class can: {of} patch persistentvolumeclaim {names.claim(role)} --patch '{patch}', "
            f"{of} delete statefulset {name} --cascade=orphan, and again. "
            if want > have
            else ""
        )
        remedy = f"{grow}To leave it as it is: sizes.{role}.disk: {have}."
        yield Finding(f"claim of {role}", f"{want} MiB", f"{have} MiB", "refused", remedy)


def _images(spec: Deployment, facts: Facts) -> Iterator[Finding]:
    """Nodes load what they lack from registries, which cannot be seen from here."""
    there = {name for node in facts.nodes for name in node.images}
    wanted = [getattr(spec.images, spec.edge.kind)] if spec.replicas("balancer") else []
    wanted += [
        getattr(spec.images, role) for role in ("postgres", "redis", "prometheus", "grafana") if spec.replicas(role)
    ]
    for image in dict.fromkeys([*([spec.images.veloz] if spec.images.veloz else []), *wanted]):
        on_node = any(_same(image, name) for name in there)
        yield Finding("image", image, "on a node" if on_node else "on no node that says so", "ok" if on_node else "note",
                      "Nodes load it from its registry, which is not asked from here.")  # fmt: skip
    if not spec.images.veloz and not spec.images.registry:
        yield Finding("image of VeloZ", "where nodes find it", "built on this machine, pushed nowhere", "note",
                      "Name a registry by images.registry, unless what is built here is on the nodes at once.")  # fmt: skip


def _same(image: str, name: str) -> bool:
    """Container runtimes write the default registry out, before the name."""
    return name == image or name.endswith(f"/{image}")
