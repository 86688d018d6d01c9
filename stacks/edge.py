"""The balancer of a deployment, from its description: where it listens, which gateways it has, what it can hold."""

from __future__ import annotations

from typing import Final

import msgspec

from app.settings import Settings
from stacks import names, ports
from stacks.balancer import (
    HEALTH_PATH,
    TEMPLATES,
    Balancer,
    BalancerError,
    Discovery,
    Health,
    Kind,
    Server,
    most_connections,
    render,
)
from stacks.gateway_settings import gateway_settings
from stacks.references import version
from stacks.spec import Deployment
from stacks.tls import Tls

# What a client's connection takes at most, measured: TLS 42 KiB, and a body of 64 KiB that comes slowly.
_CONNECTION_KIB: Final = 104
# The program itself, twice while it reloads.
_PROGRAM_MIB: Final = 48
# Of the gateways' settings, those that the balancer shares.
_SHARED: Final = frozenset(Balancer.__struct_fields__) & frozenset(Settings.__struct_fields__) - {"host", "port"}

# Docker's health check of a balancer: 0 when it is there. Bash, because the official images have no HTTP client in common.
_ASK: Final = (
    f"exec 3<>/dev/tcp/127.0.0.1/{ports.BALANCER_HEALTH} && "
    f"printf 'GET {HEALTH_PATH} HTTP/1.1\\r\\nHost: health\\r\\nConnection: close\\r\\n\\r\\n' >&3 && "
    "read -r -t 3 _ status _ <&3 && test $status = 200"
)
PROBE: Final = ("bash", "-c", _ASK)


def balancer(spec: Deployment) -> Balancer:
    """Of compose and kubernetes. Raises BalancerError where the deployment has none of its own."""
    kind(spec)
    kubernetes = spec.topology == "kubernetes"
    cores = max(1, spec.size("balancer").cpu // 1000)
    capacity = (spec.size("balancer").memory - _PROGRAM_MIB) * 1024 // _CONNECTION_KIB
    if spec.edge.kind == "nginx":  # says it of each worker
        capacity //= cores
    model = Balancer(
        gateways=() if kubernetes else _gateways(spec),
        discovery=_discovery(spec) if kubernetes else None,
        host=names.listen(spec, "balancer"),
        port=ports.BALANCER_HTTP,
        tls=_tls(spec),
        # Kubernetes asks from the node, Docker inside the container.
        health=Health(host="0.0.0.0" if kubernetes else "127.0.0.1", port=ports.BALANCER_HEALTH),  # noqa: S104
        proxies=spec.edge.proxies,
        workers=cores,
        connections=max(1, min(capacity, most_connections(spec.limits.open_files))),
    )
    return shared(spec, model)


def shared(spec: Deployment, model: Balancer) -> Balancer:
    """With what the gateways' settings say of both."""
    settings = gateway_settings(spec)
    return msgspec.structs.replace(model, **{name: getattr(settings, name) for name in _SHARED})


def configuration(spec: Deployment) -> tuple[str, str]:
    """The file's name and text, for the program of the image that the description names. Raises BalancerError."""
    which = kind(spec)
    image = spec.images.nginx if which == "nginx" else spec.images.haproxy
    return TEMPLATES[which], render(balancer(spec), which, version(image))


def kind(spec: Deployment) -> Kind:
    """Raises BalancerError where the deployment has no balancer of its own."""
    if spec.topology == "single":
        raise BalancerError("topology single has no balancer: its one gateway is published itself. Use compose.")
    if spec.edge.kind == "ingress":
        raise BalancerError("edge.kind ingress has no balancer: the cluster's controller is it. Use nginx or haproxy.")
    return spec.edge.kind


def _gateways(spec: Deployment) -> tuple[Server, ...]:
    return tuple(
        Server(names.gateway_id(replica), names.host(spec, "gateway", replica), ports.GATEWAY)
        for replica in range(1, spec.gateways.replicas + 1)
    )


def _discovery(spec: Deployment) -> Discovery:
    return Discovery(
        name=names.host(spec, "gateway"),
        port=ports.GATEWAY,
        # In an update there is one more; one that left keeps its place until DNS and HAProxy have forgotten it.
        most=2 * spec.most_gateways,
        nameserver=f"kube-dns.kube-system.svc.{spec.kubernetes.dns_domain}" if spec.edge.kind == "nginx" else "",
        nameserver_port=ports.DNS,
    )


def _tls(spec: Deployment) -> Tls | None:
    if not spec.encrypted:
        return None
    return Tls(
        port=ports.BALANCER_HTTPS,
        hostname=spec.edge.hostname,
        public_port=spec.edge.https_port,
        hsts_seconds=spec.edge.tls.hsts_seconds,
    )
