"""A resource as a preview, a recording or the policy engine shows it, and what a rule is."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Final, NamedTuple, TypeAlias

import msgspec

from stacks.references import parse

Inputs: TypeAlias = Mapping[str, Any]

# What the engine shows instead of a secret, and instead of what is known only after a deployment.
SECRET: Final = "[secret]"  # noqa: S105
UNKNOWN: Final = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
# The engine's signature of a wrapped value: https://www.pulumi.com/docs/reference/pkg/python/pulumi_policy
SIGNATURE: Final = "4dabf18193072939515e22adb298388d"
CONTAINER: Final = "docker:index/container:Container"


class Resource(msgspec.Struct, frozen=True):
    """`type` is the provider's, as docker:index/container:Container; `inputs` are named as the provider names them."""

    type: str
    name: str
    inputs: Inputs
    options: Inputs = {}


class Given(msgspec.Struct, frozen=True, kw_only=True):
    """What the rules hold a deployment to. `secrets` are the values that must be nowhere in plain sight.

    `ingress`: the service that an Ingress may lead to, if any may.
    `marked`: secrets among the inputs are recognisable as such, so one that is not marked is a plain one.
    """

    publisher: str = "balancer"
    ingress: str = ""
    address: str = ""
    ports: frozenset[int] = frozenset()
    secrets: frozenset[str] = frozenset()
    marked: bool = True

    def __repr__(self) -> str:
        return f"Given(publisher={self.publisher!r}, address={self.address!r}, ports={sorted(self.ports)})"


class Violation(NamedTuple):
    rule: str
    resource: str
    what: str
    remedy: str

    def __str__(self) -> str:
        return f"{self.resource}: {self.what}. {self.remedy} [{self.rule}]"


class Rule(NamedTuple):
    """Says what is wrong with one resource; `types` None: it looks at every type."""

    id: str
    says: str
    remedy: str
    types: frozenset[str] | None
    find: Callable[[Resource, Given], Iterator[str]]

    def violations(self, resource: Resource, given: Given) -> Iterator[Violation]:
        if self.types is None or resource.type in self.types:
            for what in self.find(resource, given):
                yield Violation(self.id, resource.name, what, self.remedy)


class StackRule(NamedTuple):
    """Says what is wrong with all resources together: pairs of a resource's name and what."""

    id: str
    says: str
    remedy: str
    find: Callable[[Sequence[Resource]], Iterator[tuple[str, str]]]

    def violations(self, resources: Sequence[Resource]) -> Iterator[Violation]:
        for name, what in self.find(resources):
            yield Violation(self.id, name, what, self.remedy)


def is_secret(value: object) -> bool:
    """Encrypted in the state: the engine's stand-in, or its wrapped form."""
    return value == SECRET or (isinstance(value, Mapping) and SIGNATURE in value)


def known(value: object) -> bool:
    return value != UNKNOWN and not is_secret(value)


def mapping(value: object) -> Inputs:
    """What is not a mapping, or not known yet, has nothing in it."""
    return value if isinstance(value, Mapping) else {}


def items(value: object) -> Sequence[Any]:
    return value if isinstance(value, list | tuple) else ()


def image_problem(reference: object) -> str:
    """Why an image is not the same one tomorrow; empty when it is pinned."""
    if not isinstance(reference, str) or not reference:
        return "it has no image"
    if not known(reference) or "@sha256:" in reference or reference.startswith("sha256:"):
        return ""
    image = parse(reference)
    if not image.tag:
        return f"its image {reference} has no tag"
    return "" if image.pinned else f"its image {reference} has the tag {image.tag}, which names no version"
