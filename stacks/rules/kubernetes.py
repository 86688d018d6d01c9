"""Rules for objects of Kubernetes; those for pods are in pods.py."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

from stacks.rules.model import Given, Inputs, Resource, Rule, StackRule, items, known, mapping

NAMESPACE: Final = "kubernetes:core/v1:Namespace"
SERVICE: Final = "kubernetes:core/v1:Service"
ACCOUNT: Final = "kubernetes:core/v1:ServiceAccount"
POLICY: Final = "kubernetes:networking.k8s.io/v1:NetworkPolicy"
VOLUME: Final = "kubernetes:core/v1:PersistentVolume"
COMPONENT_LABEL: Final = "app.kubernetes.io/component"
_STANDARD = "pod-security.kubernetes.io"
_MODES = ("enforce", "audit", "warn")
_CONTAINERS = frozenset({"containers", "initContainers"})


def metadata(inputs: Inputs) -> Inputs:
    return mapping(inputs.get("metadata"))


def component(inputs: Inputs) -> str:
    return str(mapping(metadata(inputs).get("labels")).get(COMPONENT_LABEL, ""))


def namespace(inputs: Inputs) -> str:
    return str(metadata(inputs).get("namespace") or "default")


def _security_labels(resource: Resource, _given: Given) -> Iterator[str]:
    labels = mapping(metadata(resource.inputs).get("labels"))
    for mode in _MODES:
        if labels.get(f"{_STANDARD}/{mode}") != "restricted":
            yield f"{_STANDARD}/{mode} is {labels.get(f'{_STANDARD}/{mode}') or 'not set'}"


def _published(resource: Resource, given: Given) -> Iterator[str]:
    spec = mapping(resource.inputs.get("spec"))
    kind = spec.get("type") or "ClusterIP"
    if kind == "LoadBalancer" and component(resource.inputs) != given.publisher:
        yield f"it is a LoadBalancer, and only the {given.publisher}'s may be"
    elif kind == "LoadBalancer":
        for port in map(mapping, items(spec.get("ports"))):
            if known(port.get("port")) and int(port.get("port") or 0) not in given.ports:
                yield f"it publishes port {port.get('port')}, and the description says {', '.join(map(str, sorted(given.ports)))}"
    elif kind != "ClusterIP":
        yield f"it is a {kind}, which nodes publish"
    if spec.get("externalIPs"):
        yield f"it has the external addresses {', '.join(map(str, items(spec['externalIPs'])))}"


def _no_token(resource: Resource, _given: Given) -> Iterator[str]:
    if resource.inputs.get("automountServiceAccountToken") is not False:
        yield "pods get its token"


def _no_host_volume(resource: Resource, _given: Given) -> Iterator[str]:
    if path := mapping(mapping(resource.inputs.get("spec")).get("hostPath")).get("path"):
        yield f"it is the host's {path}"


def _denies_all(policy: Inputs) -> bool:
    """Selects every pod and allows nothing, either way."""
    spec = mapping(policy.get("spec"))
    selector = spec.get("podSelector")
    return (
        selector is not None
        and not mapping(selector)
        and {"Ingress", "Egress"} <= set(items(spec.get("policyTypes")))
        and not spec.get("ingress")
        and not spec.get("egress")
    )


def _default_deny(resources: Sequence[Resource]) -> Iterator[tuple[str, str]]:
    guarded = {namespace(one.inputs) for one in resources if one.type == POLICY and _denies_all(one.inputs)}
    used: dict[str, str] = {}
    for one in resources:
        if one.type == NAMESPACE:
            used.setdefault(str(metadata(one.inputs).get("name") or one.name), one.name)
        elif one.type.startswith("kubernetes:") and has_containers(one.inputs):
            used.setdefault(namespace(one.inputs), one.name)
    for name, resource in used.items():
        if name not in guarded:
            yield resource, f"namespace {name} has no NetworkPolicy that denies everything both ways"


def has_containers(value: object) -> bool:
    """Anywhere, for each kind has its pods elsewhere."""
    if isinstance(value, Mapping):
        # Containers that cannot be seen are containers. A schema has a mapping there, which is none.
        return any(
            (key in _CONTAINERS and (bool(items(inner)) or not known(inner))) or has_containers(inner)
            for key, inner in value.items()
        )
    return any(map(has_containers, items(value)))


RULES: Final = (
    Rule("k8s-pod-security", "Namespaces enforce the Pod Security Standard restricted",
         f"Label it {_STANDARD}/enforce, audit and warn: restricted.", frozenset({NAMESPACE}), _security_labels),
    Rule("k8s-published", "Only what is declared is published", "type: ClusterIP; clients come in through the balancer.",
         frozenset({SERVICE}), _published),
    Rule("k8s-account-token", "Service accounts give no token", "automountServiceAccountToken: false.",
         frozenset({ACCOUNT}), _no_token),
    Rule("k8s-host-volume", "No volume is a host's path", "Claim one of a storage class.", frozenset({VOLUME}), _no_host_volume),
)  # fmt: skip
STACK_RULES: Final = (
    StackRule("k8s-default-deny", "Every namespace denies all traffic that is not declared",
              "Add a NetworkPolicy with an empty podSelector, both policyTypes and no rules.", _default_deny),
)  # fmt: skip
