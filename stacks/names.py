"""What everything is called and where it is: containers, networks, static addresses, volumes, labels, DNS names."""

from __future__ import annotations

import hashlib
import ipaddress
import re
from collections.abc import Iterable
from typing import Final, Literal, TypeAlias, get_args

from app import __version__
from stacks import ports
from stacks.spec import Deployment, Role

Network: TypeAlias = Literal["edge", "app", "data", "cache", "monitoring", "panel", "egress"]

NETWORKS: Final[tuple[Network, ...]] = get_args(Network)
NETWORK_PREFIX: Final = 24
_NETWORK_SIZE: Final = 2 ** (32 - NETWORK_PREFIX)
# They are consecutive in the deployment's subnet: seven, and one place is free.
SUBNET_PREFIX: Final = 21
# Kubernetes: names are the same in every namespace.
SECRETS: Final = "veloz-secrets"
GATEWAY_HTTP: Final = "veloz-gateway-http"
TLS_SECRET: Final = "veloz-tls"  # noqa: S105 - the object's name

# Of the database and its owner.
DATABASE: Final = "veloz"

_LABEL: Final = "io.veloz."
FILES: Final = "-files"  # of a volume and a container that hold what can be made anew
_SUM_DIGITS: Final = 8
_HOLDS_FILES: Final = re.compile(f"{FILES}(-[0-9a-f]{{{_SUM_DIGITS}}})?$")  # earlier ones had no sum in it
BALANCER_TEST: Final = "balancer-test"  # a part that ends
CLAIM: Final = "data"
_VERSION: Final = "app.kubernetes.io/version"
# The last byte of an address, the same in every network. 1 is the bridge's own.
_PLACES: Final[dict[Role, int]] = {"balancer": 2, "postgres": 3, "redis": 4, "prometheus": 5, "grafana": 6}
_FIRST_GATEWAY: Final = 10


def container(spec: Deployment, part: str, replica: int = 0) -> str:
    """Of a role, or of a part of one (`balancer-config`). Replicas are counted from 1."""
    return f"{spec.name}-{part}" + (f"-{replica}" if replica else "")


def volume(spec: Deployment, what: str) -> str:
    """E.g. `postgres-data`; of single's data: `data`."""
    return f"{spec.name}-{what}"


def files_volume(part: str, paths: Iterable[str]) -> str:
    """E.g. `gateway-1-files-5f0c2a91`. Another set of files is another volume: Docker takes no file out of one."""
    told = hashlib.sha256("\n".join(sorted(paths)).encode()).hexdigest()
    return f"{part}{FILES}-{told[:_SUM_DIGITS]}"


def holds_data(spec: Deployment, name: str) -> bool:
    """Whether a volume of this deployment holds what cannot be made anew."""
    return name.startswith(f"{spec.name}-") and not _HOLDS_FILES.search(name)


def data_volumes(spec: Deployment) -> tuple[str, ...]:
    """Of single and compose."""
    if spec.topology == "single":
        return (volume(spec, "data"),)
    return tuple(volume(spec, f"{role}-data") for role in spec.roles if role not in {"gateway", "balancer"})


def is_volume(spec: Deployment, name: str) -> bool:
    """Whether one of that name would be taken for a part's files or data."""
    parts = {*(role for role in spec.roles if role != "gateway"), *gateway_parts(spec), BALANCER_TEST}
    return name in data_volumes(spec) or _HOLDS_FILES.sub("", name) in {volume(spec, part) for part in parts}


def gateway_parts(spec: Deployment) -> tuple[str, ...]:
    """Of single and compose."""
    if spec.topology == "single":
        return ("gateway",)
    return tuple(gateway_id(replica) for replica in range(1, spec.replicas("gateway") + 1))


def labels(spec: Deployment, role: str) -> dict[str, str]:
    """Of a container, network or volume. No version: another label makes them anew, and a release replaces gateways alone."""
    return {f"{_LABEL}deployment": spec.name, f"{_LABEL}role": role}


def gateway_id(replica: int) -> str:
    return f"gateway-{replica}"


# Docker's networks


def members(spec: Deployment, network: Network) -> tuple[Role, ...]:
    """Who is in a network. A network with nobody does not exist.

    All in one bridge reach all that listens there, so nobody is beside one who has no business with it: the two stores
    have a network each, Grafana listens in one of its own (`panel`), and who is in several listens in one (`listen`).
    """
    if spec.topology == "single":
        return ("gateway",) if network == "edge" else ()
    wanted: dict[Network, tuple[Role, ...]] = {
        "edge": ("balancer",),
        "app": ("balancer", "gateway", "prometheus"),
        "data": ("gateway", "postgres"),
        "cache": ("gateway", "redis"),
        "monitoring": ("prometheus", "grafana"),
        "panel": ("grafana",),
        "egress": ("gateway",) if outbound(spec) else (),
    }
    there = tuple(role for role in wanted[network] if spec.replicas(role))
    alone = network in {"data", "cache"} and there == ("gateway",)
    return () if alone else there


def outbound(spec: Deployment) -> bool:
    """Whether gateways open connections to what is not of this deployment."""
    return spec.gateways.egress or "external" in {spec.postgres.store, spec.redis.store}


def networks(spec: Deployment) -> tuple[Network, ...]:
    return tuple(network for network in NETWORKS if members(spec, network))


def networks_of(spec: Deployment, role: Role) -> tuple[Network, ...]:
    return tuple(network for network in NETWORKS if role in members(spec, network))


def network(spec: Deployment, which: Network) -> str:
    return f"{spec.name}-{which}"


def internal(which: Network) -> bool:
    """Without a way out."""
    return which not in {"edge", "egress"}


def subnet(spec: Deployment, which: Network) -> str:
    first = ipaddress.IPv4Network(spec.docker.subnet).network_address
    return f"{first + NETWORKS.index(which) * _NETWORK_SIZE}/{NETWORK_PREFIX}"


def address(spec: Deployment, which: Network, role: Role, replica: int = 1) -> str:
    """The static address of a container in one of its networks."""
    place = _FIRST_GATEWAY + replica if role == "gateway" else _PLACES[role]
    return str(ipaddress.IPv4Network(subnet(spec, which))[place])


_LISTENS: Final[dict[Role, Network]] = {
    "balancer": "edge",
    "gateway": "app",
    "postgres": "data",
    "redis": "cache",
    "prometheus": "monitoring",
    "grafana": "panel",
}


def listen(spec: Deployment, role: Role, replica: int = 1) -> str:
    """The address to bind to."""
    if spec.topology == "compose":
        return address(spec, _LISTENS[role], role, replica)
    return "0.0.0.0"  # noqa: S104 - one network in single, NetworkPolicies in Kubernetes


# Kubernetes


def object_name(role: Role) -> str:
    """Of a role's Deployment or StatefulSet, Service, ServiceAccount, …"""
    return f"veloz-{role}"


def selector(spec: Deployment, role: Role) -> dict[str, str]:
    """The labels that choose a role's pods. They never change."""
    return {
        "app.kubernetes.io/name": "veloz",
        "app.kubernetes.io/instance": spec.name,
        "app.kubernetes.io/component": role,
    }


def pod_labels(spec: Deployment, role: Role) -> dict[str, str]:
    """A release replaces gateways alone: a version on the pods of stores and balancers would restart them for nothing."""
    labels = kubernetes_labels(spec, role)
    return labels if role == "gateway" else {label: text for label, text in labels.items() if label != _VERSION}


def kubernetes_labels(spec: Deployment, role: Role) -> dict[str, str]:
    return selector(spec, role) | {
        "app.kubernetes.io/part-of": "veloz",
        _VERSION: __version__,
    }


# Where the stores are


def claim(role: Role) -> str:
    """Of a role's one pod, as Kubernetes makes it from the template of that name."""
    return f"{CLAIM}-{object_name(role)}-0"


def host(spec: Deployment, role: Role, replica: int = 1) -> str:
    """Where others of the deployment reach a role: a static address, a DNS name of the cluster, or an external host."""
    if role == "postgres" and spec.postgres.store == "external":
        return spec.postgres.host
    if role == "redis" and spec.redis.store == "external":
        return spec.redis.host
    if spec.topology == "kubernetes":
        return f"{object_name(role)}.{spec.name}.svc.{spec.kubernetes.dns_domain}"
    return listen(spec, role, replica)


def postgres_port(spec: Deployment) -> int:
    return spec.postgres.port if spec.postgres.store == "external" else ports.POSTGRES


def redis_port(spec: Deployment) -> int:
    return spec.redis.port if spec.redis.store == "external" else ports.REDIS
