"""Rules for what lets traffic in and out of a cluster's namespace: Ingresses and NetworkPolicies."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from stacks.rules.kubernetes import POLICY, component
from stacks.rules.model import Given, Inputs, Resource, Rule, items, mapping

INGRESS: Final = "kubernetes:networking.k8s.io/v1:Ingress"
_EVERYWHERE: Final = frozenset({"0.0.0.0/0", "::/0"})


def _leads_in(resource: Resource, given: Given) -> Iterator[str]:
    spec = mapping(resource.inputs.get("spec"))
    backends = [mapping(spec["defaultBackend"])] if spec.get("defaultBackend") else []
    for rule in map(mapping, items(spec.get("rules"))):
        backends += [mapping(mapping(path).get("backend")) for path in items(mapping(rule.get("http")).get("paths"))]
    for backend in backends:
        name = str(mapping(backend.get("service")).get("name") or "something that is no service")
        if not given.ingress:
            yield f"it leads clients to {name}, and the description has no ingress"
        elif name != given.ingress:
            yield f"it leads clients to {name}, and only to {given.ingress} may it"


def _open(resource: Resource, given: Given) -> Iterator[str]:
    spec = mapping(resource.inputs.get("spec"))
    for rule in map(mapping, items(spec.get("ingress"))):
        yield from _peers("from", rule, everybody=component(resource.inputs) == given.publisher)
    for rule in map(mapping, items(spec.get("egress"))):
        # An external store that has a name: policies know addresses alone.
        yield from _peers("to", rule, everybody=component(resource.inputs) == "gateway")


def _peers(key: str, rule: Inputs, *, everybody: bool) -> Iterator[str]:
    peers = items(rule.get(key))
    if not rule.get("ports"):
        yield f"a rule allows every port {key} whom it names"
    elif not peers and not everybody:
        yield f"a rule names nobody under {key}, which is everybody"
    for peer in map(mapping, peers):
        block = mapping(peer.get("ipBlock"))
        if str(block.get("cidr")) in _EVERYWHERE and not block.get("except"):
            yield f"a rule allows {key} {block['cidr']} and excepts nothing"
        for selector in ("namespaceSelector", "podSelector"):
            if _all(peer.get(selector)) and not (selector == "podSelector" and peer.get("namespaceSelector")):
                yield f"a rule allows {key} whatever an empty {selector} selects"


def _all(selector: Any) -> bool:  # noqa: ANN401 - whatever stands there
    return (
        selector is not None
        and not mapping(selector).get("matchLabels")
        and not mapping(selector).get("matchExpressions")
    )


RULES: Final = (
    Rule("k8s-ingress", "Ingresses lead clients to the gateways alone, and only where the description has one",
         "Take it out, or choose edge.kind ingress.", frozenset({INGRESS}), _leads_in),
    Rule("k8s-network-open", "NetworkPolicies name whom they let through, and the ports",
         "Name pods, namespaces or networks, and the ports.", frozenset({POLICY}), _open),
)  # fmt: skip
