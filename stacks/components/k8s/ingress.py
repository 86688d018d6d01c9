"""The cluster's own ingress controller in the balancer's place, its certificate from cert-manager by choice."""

from __future__ import annotations

from collections.abc import Mapping
from math import ceil
from typing import Final

from pulumi_kubernetes.networking import v1 as networking

from stacks import edge, names, ports
from stacks.balancer import Balancer, Server
from stacks.components.k8s.namespace import Scope
from stacks.spec import Deployment

NAME: Final = "veloz"
STREAM: Final = "veloz-stream"
# What clients are let through to: /metrics and /internal are not among it. Path → how it is matched.
PATHS: Final[Mapping[str, str]] = {"/api": "Prefix", "/health": "Prefix"}
STREAM_PATHS: Final[Mapping[str, str]] = {"/api/stream": "Exact"}
# ingress-nginx's; other controllers pass them over and have limits of their own.
_NGINX: Final = "nginx.ingress.kubernetes.io"
_ISSUER: Final = "cert-manager.io/cluster-issuer"


def ingress(scope: Scope) -> networking.Ingress:
    """Two objects of one host: a stream may be silent for longer than an answer may take."""
    spec = scope.spec
    issuer = {_ISSUER: spec.edge.tls.issuer} if spec.edge.tls.source == "issued" else {}
    first = _ingress(scope, NAME, PATHS, limits(spec) | issuer)
    _ingress(scope, STREAM, STREAM_PATHS, limits(spec, stream=True))
    return first


def limits(spec: Deployment, *, stream: bool = False) -> dict[str, str]:
    """The balancer's limits in the words of ingress-nginx. A POST that was sent is never sent again; a PUT or DELETE may be."""
    gateways = (Server("gateway", names.GATEWAY_HTTP, ports.GATEWAY),)
    model = edge.shared(spec, Balancer(gateways=gateways, port=ports.BALANCER_HTTP))
    seconds = model.stream_timeout if stream else model.answer_timeout
    told = {
        "proxy-body-size": str(model.max_body),
        "proxy-connect-timeout": str(ceil(model.connect_timeout)),
        "proxy-read-timeout": str(ceil(seconds)),
        "proxy-next-upstream": "error timeout",
        "proxy-next-upstream-tries": "2",
        "proxy-buffering": "off" if stream else "on",
        "force-ssl-redirect": str(spec.encrypted).lower(),
    }
    return {f"{_NGINX}/{name}": text for name, text in told.items()}


def _ingress(scope: Scope, name: str, paths: Mapping[str, str], annotations: Mapping[str, str]) -> networking.Ingress:
    spec = scope.spec
    service = networking.IngressServiceBackendArgs(
        name=names.GATEWAY_HTTP, port=networking.ServiceBackendPortArgs(number=ports.GATEWAY)
    )
    backend = networking.IngressBackendArgs(service=service)
    tls = networking.IngressTLSArgs(hosts=[spec.edge.hostname], secret_name=names.TLS_SECRET)
    rule = networking.IngressRuleArgs(
        host=spec.edge.hostname,
        http=networking.HTTPIngressRuleValueArgs(
            paths=[
                networking.HTTPIngressPathArgs(path=path, path_type=kind, backend=backend)
                for path, kind in paths.items()
            ]
        ),
    )
    return networking.Ingress(
        name,
        metadata=scope.metadata(name, "gateway", annotations),
        spec=networking.IngressSpecArgs(
            ingress_class_name=spec.kubernetes.ingress_class or None,
            rules=[rule],
            tls=[tls] if spec.encrypted else None,
        ),
        opts=scope.options,
    )
