"""The rules that every resource of a deployment must meet; used by `preview`, by the tests and by the policy pack.

Pure: resources in, violations out. The rules themselves are in stacks/rules.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from typing import Final

from stacks import names
from stacks.rules import docker, kubernetes, pods, secrets, traffic
from stacks.rules.model import Given, Resource, Rule, StackRule, Violation
from stacks.spec import Deployment

__all__ = ["RULES", "STACK_RULES", "Given", "Resource", "Violation", "check", "given", "resource_violations"]

RULES: Final[tuple[Rule, ...]] = (
    *docker.RULES,
    *kubernetes.RULES,
    *traffic.RULES,
    *pods.RULES,
    *secrets.RULES,
)
STACK_RULES: Final[tuple[StackRule, ...]] = kubernetes.STACK_RULES


def given(spec: Deployment, known_secrets: Collection[str] = ()) -> Given:
    """What this description allows. `known_secrets` are values that must be nowhere in plain sight."""
    edge = spec.edge
    declared = {edge.http_port, edge.https_port} if spec.encrypted else {edge.http_port}
    return Given(
        publisher="gateway" if spec.topology == "single" else "balancer",
        ingress=names.GATEWAY_HTTP if edge.kind == "ingress" else "",
        address=edge.address,
        ports=frozenset(declared),
        secrets=frozenset(known_secrets),
    )


def resource_violations(resource: Resource, allowed: Given) -> Iterator[Violation]:
    for rule in RULES:
        yield from rule.violations(resource, allowed)


def check(resources: Sequence[Resource], allowed: Given) -> list[Violation]:
    """Everything that is wrong, in the order of the resources; of the stack as a whole at the end."""
    found = [violation for resource in resources for violation in resource_violations(resource, allowed)]
    return found + [violation for rule in STACK_RULES for violation in rule.violations(resources)]
