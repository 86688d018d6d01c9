"""Where clients come in: kind, TLS, exposure, ports."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import Final

import msgspec

from app.settings import SettingsError
from stacks.balancer import NGINX_RESOLVES
from stacks.balancer import problems as faults
from stacks.edge import balancer
from stacks.references import version
from stacks.refusals import Refusal
from stacks.spec import Deployment, Docker

_LOCAL: Final = frozenset({"localhost"})
# Namespaces that are the cluster's own: `destroy` would take them along.
_RESERVED: Final = ("default", "kube-")


def problems(spec: Deployment) -> Iterator[Refusal]:
    yield from _tls(spec)
    if spec.topology == "kubernetes":
        yield from _kubernetes(spec)
    else:
        yield from _docker(spec)
    yield from _balancer(spec)
    ports = (spec.edge.http_port, spec.edge.https_port)
    if spec.topology != "single" and spec.edge.kind != "ingress" and spec.encrypted and ports[0] == ports[1]:
        yield Refusal(
            "edge.https_port", ports[1], "must not be edge.http_port: a port is one listener's", "choose another"
        )


def _balancer(spec: Deployment) -> Iterator[Refusal]:
    """What the balancer's own description says to what it is given."""
    if not spec.replicas("balancer"):
        return
    try:  # what is wrong with networks and settings is refused elsewhere
        model = balancer(msgspec.structs.replace(spec, docker=Docker()))
    except SettingsError:
        return
    for problem in faults(model):
        yield Refusal("edge", spec.edge.kind, problem, "correct it in gateways.settings")


def _tls(spec: Deployment) -> Iterator[Refusal]:
    source = spec.edge.tls.source
    if spec.topology == "single":
        if spec.encrypted:
            rule = "must be none in single, which has no balancer and is for this machine alone"
            yield Refusal("edge.tls.source", source, rule, "write none, or choose topology compose")
        return
    if source == "issued" and spec.edge.kind != "ingress":
        rule = f"must not be issued with edge.kind {spec.edge.kind}: cert-manager serves an ingress"
        yield Refusal("edge.tls.source", source, rule, "choose generated or provided, or edge.kind ingress")
    if source == "issued" and not spec.edge.tls.issuer:
        rule = "is required where edge.tls.source is issued"
        yield Refusal("edge.tls.issuer", None, rule, "name a ClusterIssuer of cert-manager")
    if source == "none" and _exposed(spec):
        yield Refusal("edge.tls.source", source, f"must not be none {_where(spec)}", "choose generated or provided")
    if _exposed(spec) and spec.edge.hostname in _LOCAL:
        rule = f"must be the name that clients use {_where(spec)}: certificates are for it"
        yield Refusal("edge.hostname", spec.edge.hostname, rule, "write e.g. veloz.example.com")


def _exposed(spec: Deployment) -> bool:
    """Whether more than this machine can reach it. An address that is none is somebody else's to refuse."""
    if spec.topology == "kubernetes":
        return True
    try:
        return not ipaddress.ip_address(spec.edge.address).is_loopback
    except ValueError:
        return False


def _where(spec: Deployment) -> str:
    if spec.topology == "kubernetes":
        return "on kubernetes, which is reached over a network"
    return f"at {spec.edge.address}, which is not of this machine alone"


def _docker(spec: Deployment) -> Iterator[Refusal]:
    if spec.edge.kind == "ingress":
        rule = f"must not be ingress in {spec.topology}: an ingress is of a cluster"
        yield Refusal("edge.kind", spec.edge.kind, rule, "choose nginx or haproxy, or topology kubernetes")
    if spec.topology == "single" and _exposed(spec):
        rule = "must be of loopback in single, which speaks no TLS"
        yield Refusal("edge.address", spec.edge.address, rule, "write 127.0.0.1, or choose topology compose")


def _kubernetes(spec: Deployment) -> Iterator[Refusal]:
    if spec.edge.kind == "nginx" and version(spec.images.nginx) < NGINX_RESOLVES:
        least = ".".join(map(str, NGINX_RESOLVES))
        rule = f"must have a tag of nginx {least} or later, the first that finds pods by name while it runs"
        yield Refusal("images.nginx", spec.images.nginx, rule, "choose a later one, or edge.kind haproxy")
    if spec.name.startswith(_RESERVED):
        rule = "must not be the name of a namespace that the cluster has itself"
        yield Refusal("name", spec.name, rule, "choose another, e.g. veloz")
