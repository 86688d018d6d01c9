"""What the program declares for Kubernetes, as `make render` gives it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from hashlib import sha256
from typing import Any, NamedTuple, TypeAlias

import yaml

from stacks.document import load
from stacks.render import render
from stacks.secrets import NAMES, Secrets, wanted
from stacks.spec import Deployment

Object: TypeAlias = dict[str, Any]

IMAGE = "registry.example.com/veloz/gateway:1.2.3"
WORKLOADS = ("Deployment", "StatefulSet")


class Manifests(NamedTuple):
    text: str
    objects: tuple[Object, ...]

    def of(self, *kinds: str) -> list[Object]:
        return [found for found in self.objects if found["kind"] in kinds]

    def named(self, kind: str, name: str) -> Object:
        (found,) = (found for found in self.of(kind) if found["metadata"]["name"] == name)
        return found

    def pods(self) -> dict[str, Object]:
        """Role → the pod's template."""
        return {role_of(found): found["spec"]["template"] for found in self.of(*WORKLOADS)}

    def containers(self) -> dict[str, Object]:
        """Role → its one container."""
        found = {}
        for role, pod in self.pods().items():
            assert not {"initContainers", "ephemeralContainers"} & pod["spec"].keys()
            (found[role],) = pod["spec"]["containers"]
        return found


def role_of(found: Object) -> str:
    role = found["metadata"]["labels"]["app.kubernetes.io/component"]
    assert isinstance(role, str)
    return role


def example(**changes: Any) -> Deployment:  # noqa: ANN401 (what a stack file says)
    """A description with everything; `changes` are of its top level."""
    return load({"topology": "kubernetes", "edge": {"hostname": "veloz.example.com"}} | changes)


def values() -> dict[str, str]:
    """A text for each secret there can be, which is in no other and passes for a real one."""
    marks = {name: sha256(name.encode()).hexdigest() for name in NAMES}
    kinds = {"tls_certificate": "CERTIFICATE", "tls_ca": "CERTIFICATE", "tls_key": "PRIVATE KEY"}
    given = {name: f"-----BEGIN {kind}-----\n{marks[name]}\n-----END {kind}-----\n" for name, kind in kinds.items()}
    given |= {
        "postgres_dsn": f"postgresql://veloz:{marks['postgres_dsn']}@db.example.com/veloz",
        "redis_url": f"redis://:{marks['redis_url']}@cache.example.com/0",
    }
    return marks | given


def secrets_of(spec: Deployment, changes: Mapping[str, str] = {}) -> Secrets:
    given = {**values(), **changes}
    return Secrets(**{name: given[name] for name in wanted(spec)})


def manifests(spec: Deployment, secrets: Secrets | None = None) -> Manifests:
    text = render(spec, secrets or secrets_of(spec), IMAGE)
    return Manifests(text, tuple(yaml.safe_load_all(text)))


@cache
def usual() -> tuple[Deployment, Manifests]:
    spec = example()
    return spec, manifests(spec)


def leaves(value: Any, path: tuple[str | int, ...] = ()) -> Iterator[tuple[tuple[str | int, ...], Any]]:  # noqa: ANN401 (YAML)
    """Every plain value in it and where it is."""
    if isinstance(value, Mapping):
        for name, item in value.items():
            yield from leaves(item, (*path, name))
    elif isinstance(value, list):
        for n, item in enumerate(value):
            yield from leaves(item, (*path, n))
    else:
        yield path, value
