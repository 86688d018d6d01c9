"""A deployment as objects of Kubernetes, all in one namespace."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence

import pulumi
from pulumi_kubernetes.core import v1 as core
from pulumi_kubernetes.core.v1.outputs import ServiceStatus
from pulumi_kubernetes.networking.v1.outputs import IngressStatus

from stacks import files as contents
from stacks import names, stores, watched
from stacks.components.k8s import mounts
from stacks.components.k8s.balancer import balancer
from stacks.components.k8s.gateway import EVERY, gateway
from stacks.components.k8s.ingress import ingress
from stacks.components.k8s.monitoring import grafana, prometheus
from stacks.components.k8s.namespace import Scope, namespace
from stacks.components.k8s.network import network_policies
from stacks.components.k8s.postgres import postgres
from stacks.components.k8s.redis import redis
from stacks.endpoints import Endpoints, endpoints
from stacks.files import File
from stacks.monitoring import grafana as panels
from stacks.monitoring import prometheus as scrape
from stacks.secrets import Secrets
from stacks.spec import Deployment, Role


def deploy(spec: Deployment, secrets: Secrets, image: pulumi.Input[str]) -> Endpoints:
    """Declare all objects; the secrets must be those that Secrets.from_config lets pass."""
    salt = contents.needed(secrets.cluster_secret, "cluster_secret")
    files = {role: _files(spec, secrets, role) for role in spec.roles}
    scope = namespace(spec)
    # The rules for pods, and their secrets, are there before the first of them.
    scope = scope.after([*network_policies(scope), *_secrets(scope, secrets, files)])
    data: list[pulumi.Resource] = []
    if spec.replicas("postgres"):
        data.append(postgres(scope, spec.images.postgres, files["postgres"], salt))
    if spec.replicas("redis"):
        data.append(redis(scope, spec.images.redis, files["redis"], salt))
    if spec.replicas("prometheus"):
        prometheus(scope, spec.images.prometheus, files["prometheus"], salt)
    if spec.replicas("grafana"):
        grafana(scope, spec.images.grafana, files["grafana"], salt)
    gateways = gateway(scope.after(data), image, files["gateway"], contents.given(secrets), salt)
    return endpoints(spec, image, _entrance(scope, files, gateways))


def _entrance(scope: Scope, files: Mapping[Role, Sequence[File]], gateways: pulumi.Resource) -> pulumi.Output[str]:
    """The address that the cluster gave to the balancer, or to its ingress controller."""
    spec = scope.spec
    if spec.edge.kind == "ingress":
        return ingress(scope.after([gateways])).status.apply(_address)
    image = spec.images.nginx if spec.edge.kind == "nginx" else spec.images.haproxy
    return balancer(scope, image, files["balancer"]).status.apply(_address)


def _address(status: ServiceStatus | IngressStatus | None) -> str:
    """Empty as long as there is none."""
    given = status.load_balancer.ingress if status and status.load_balancer else None
    return next(((each.ip or each.hostname or "") for each in given or ()), "")


def _files(spec: Deployment, secrets: Secrets, role: Role) -> tuple[File, ...]:
    match role:
        case "gateway":
            return contents.gateway_files(spec, secrets)
        case "balancer":
            return watched.files(spec, secrets)
        case "postgres":
            return stores.postgres_files(secrets)
        case "redis":
            return stores.redis_files(spec, secrets)
        case "prometheus":
            every = f"{EVERY}.{spec.name}.svc.{spec.kubernetes.dns_domain}"
            return scrape.files(spec, every)
        case "grafana":
            return panels.files(spec, contents.needed(secrets.grafana_password, "grafana_password"))


def _secrets(scope: Scope, secrets: Secrets, files: Mapping[Role, Sequence[File]]) -> list[core.Secret]:
    """`veloz-secrets` has what processes read; `veloz-tls` the certificate, unless cert-manager makes that."""
    data = {key: text for of_role in files.values() for key, text in mounts.secrets(of_role).items()}
    made = [_secret(scope, names.SECRETS, "Opaque", data)]
    if secrets.tls_certificate is not None and secrets.tls_key is not None:
        pair = {"tls.crt": secrets.tls_certificate, "tls.key": secrets.tls_key}
        made.append(_secret(scope, names.TLS_SECRET, "kubernetes.io/tls", pair))
    return made


def _secret(scope: Scope, name: str, kind: str, texts: Mapping[str, pulumi.Input[str]]) -> core.Secret:
    """In base64: server-side apply does not take a key back that was given in `stringData`."""
    data = {key: pulumi.Output.secret(text).apply(_base64) for key, text in texts.items()}
    return core.Secret(name, metadata=scope.metadata(name), type=kind, data=data, opts=scope.options)


def _base64(text: str) -> str:
    return base64.b64encode(text.encode()).decode()
