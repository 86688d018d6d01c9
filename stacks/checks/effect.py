"""What would have no effect is refused: who wrote it expects one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

import msgspec

from stacks.refusals import Refusal
from stacks.spec import Deployment, Docker, Edge, Images, Kubernetes, Monitoring, Postgres, Redis

_DOCKER: Final = "concerns single and compose alone"
_KUBERNETES: Final = "concerns kubernetes alone"


def problems(spec: Deployment) -> Iterator[Refusal]:
    for path, fault in dict(reversed(list(_without(spec)))).items():  # the first reason for each
        value, default = _at(spec, path), _default(path)
        if value != default:
            yield Refusal(path, value, fault, "leave it out")
    if spec.topology == "single":
        yield from _single(spec)


def _without(spec: Deployment) -> Iterator[tuple[str, str]]:
    """Fields that do nothing in this deployment, and why."""
    if spec.topology == "kubernetes":
        yield from ((f"docker.{name}", _DOCKER) for name in Docker.__struct_fields__)
        yield "edge.address", _DOCKER
    else:
        yield from ((f"kubernetes.{name}", _KUBERNETES) for name in Kubernetes.__struct_fields__)
        yield "edge.replicas", _KUBERNETES
        yield "images.pull_secret", _KUBERNETES
    yield from _edge(spec)
    if not spec.monitoring.prometheus:
        yield "monitoring.keep_days", "needs monitoring.prometheus"
    if spec.postgres.store == "embedded":
        yield "postgres.max_connections", "follows from the gateway's pool where PostgreSQL is embedded"
    for store in ("postgres", "redis"):
        if _at(spec, f"{store}.store") != "external":
            yield f"{store}.host", f"needs {store}.store external"
            yield f"{store}.port", f"needs {store}.store external"
    if spec.images.veloz:
        yield "images.registry", "has nothing to push beside images.veloz"
    else:
        yield "images.known_settings", "needs images.veloz"


def _edge(spec: Deployment) -> Iterator[tuple[str, str]]:
    balancer = "needs a balancer of this deployment"
    if not spec.replicas("balancer"):
        yield "edge.proxies", balancer
        yield "edge.https_port", balancer
    if spec.edge.kind == "ingress":
        yield "edge.http_port", balancer
        yield "edge.replicas", balancer
        yield "kubernetes.load_balancer_annotations", balancer
        yield "edge.tls.hsts_seconds", "is the ingress controller's to say, for all of its hosts"
    else:
        yield from (
            (f"kubernetes.{name}", "needs edge.kind ingress")
            for name in ("ingress_class", "ingress_namespace", "ingress_networks")
        )
    if spec.edge.tls.source != "issued":
        yield "edge.tls.issuer", "needs edge.tls.source issued"
    if not spec.encrypted:
        yield "edge.tls.hsts_seconds", "needs TLS"


def _single(spec: Deployment) -> Iterator[Refusal]:
    if spec.gateways.replicas != 1:
        yield Refusal(
            "gateways.replicas",
            spec.gateways.replicas,
            "must be 1 in single",
            "leave it out, or choose topology compose",
        )
    for name in ("prometheus", "grafana"):
        if getattr(spec.monitoring, name):
            path = f"monitoring.{name}"
            yield Refusal(
                path, True, "needs more than single's one container", "choose topology compose, or write false"
            )


def _at(spec: Deployment, path: str) -> Any:  # noqa: ANN401 - any field
    value: Any = spec
    for name in path.split("."):
        value = getattr(value, name)
    return value


_SECTIONS: Final[dict[str, msgspec.Struct]] = {
    "docker": Docker(),
    "edge": Edge(),
    "images": Images(),
    "kubernetes": Kubernetes(),
    "monitoring": Monitoring(),
    "postgres": Postgres(),
    "redis": Redis(),
}


def _default(path: str) -> Any:  # noqa: ANN401 - any field
    section, _, rest = path.partition(".")
    value: Any = _SECTIONS[section]
    for name in rest.split("."):
        value = getattr(value, name)
    return value
