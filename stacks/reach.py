"""Who may open connections to whom, once for all topologies: networks, policies and tests are made from this table.

Ports are those that the target itself listens on. `clients` come from outside through what is `published`; `operator` is who
is on the Docker host, or has the right to forward ports of the cluster; `ingress` is the cluster's ingress controller.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal, NamedTuple, TypeAlias

from stacks import names, ports
from stacks.spec import Deployment, Role

Party: TypeAlias = (
    Role | Literal["clients", "operator", "ingress", "dns", "internet", "external_postgres", "external_redis"]
)


# They find others by name; the stores find nobody.
_ASKERS: Final = frozenset[Role]({"balancer", "gateway", "prometheus", "grafana"})


class Edge(NamedTuple):
    """TCP; to `dns` UDP too."""

    source: Party
    target: Party
    port: int


class Published(NamedTuple):
    """A port of the host, or of the cluster's LoadBalancer, and the one behind it."""

    name: Literal["http", "https"]
    port: int
    target: int


def published(spec: Deployment) -> tuple[Published, ...]:
    """By the balancer; in single by the gateway; nothing when an ingress controller does it."""
    if spec.topology == "single":
        return (Published("http", spec.edge.http_port, ports.GATEWAY),)
    if spec.edge.kind == "ingress":
        return ()
    plain = Published("http", spec.edge.http_port, ports.BALANCER_HTTP)
    return (plain, Published("https", spec.edge.https_port, ports.BALANCER_HTTPS)) if spec.encrypted else (plain,)


def edges(spec: Deployment) -> frozenset[Edge]:
    """Every connection there may be between containers, and from and to outside."""
    return frozenset(_edges(spec))


def of(spec: Deployment, role: Role) -> tuple[frozenset[Edge], frozenset[Edge]]:
    """The edges into a role, and those out of it."""
    every = edges(spec)
    return frozenset(e for e in every if e.target == role), frozenset(e for e in every if e.source == role)


def _edges(spec: Deployment) -> Iterator[Edge]:
    entrance: Role = "gateway" if spec.topology == "single" else "balancer"
    for port in published(spec):
        yield Edge("clients", entrance, port.target)
    if spec.gateways.egress:
        yield Edge("gateway", "internet", ports.HTTPS)
    if spec.topology == "single":
        return
    yield Edge("ingress" if spec.edge.kind == "ingress" else "balancer", "gateway", ports.GATEWAY)
    yield Edge("gateway", "gateway", ports.GATEWAY)
    yield Edge("gateway", _store("postgres", spec.postgres.store), names.postgres_port(spec))
    yield Edge("gateway", _store("redis", spec.redis.store), names.redis_port(spec))
    yield from _monitoring(spec)
    if spec.topology == "kubernetes":
        for role in spec.roles:
            if role in _ASKERS:
                yield Edge(role, "dns", ports.DNS)


def _store(role: Literal["postgres", "redis"], store: str) -> Party:
    if store != "external":
        return role
    return "external_postgres" if role == "postgres" else "external_redis"


def _monitoring(spec: Deployment) -> Iterator[Edge]:
    if spec.replicas("prometheus"):
        yield Edge("prometheus", "gateway", ports.GATEWAY)
        yield Edge("operator", "prometheus", ports.PROMETHEUS)
    if spec.replicas("grafana"):
        yield Edge("grafana", "prometheus", ports.PROMETHEUS)
        yield Edge("operator", "grafana", ports.GRAFANA)
