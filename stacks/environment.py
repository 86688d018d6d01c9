"""The VELOZ_ variables of a gateway, from the description. No secret: those come as files, by VELOZ_…_FILE."""

from __future__ import annotations

from collections.abc import Iterator
from types import MappingProxyType
from typing import Final

from stacks import names, ports
from stacks.older_image import knows
from stacks.secrets import wanted
from stacks.spec import Deployment

SECRETS_DIR: Final = "/run/veloz"
# The variables that a pod's own name and address stand in for; Kubernetes puts them in from POD_NAME and POD_IP.
POD_NAME: Final = "POD_NAME"
POD_IP: Final = "POD_IP"
# Fields of app.settings.Settings that follow from the rest, and from what.
DERIVED: Final = MappingProxyType(
    {
        "host": "the topology",
        "port": "stacks/ports.py",
        "trusted_proxies": "the balancer's address",
        "gateway_id": "the replica",
        "advertise_url": "the replica",
        "cluster_secret": "the secret cluster_secret",
        "preset": "the image",
        "engine": "the image",
        "engine_cpus": "the host's cores, where systemd runs the gateways",
        "drain_policy": "gateways.drain_policy",
        "binance_api_key": "the secret binance_api_key",
        "binance_api_secret": "the secret binance_api_secret",
        "postgres_dsn": "postgres, and its secret",
        "redis_url": "redis, and its secret",
        "auth": "every deployment's rule, which is true",
        "api_key": "the secret api_key",
        "admin_password": "the secret admin_password",
        "session_cookie_secure": "edge.tls",
        "metrics_access": "the networks",
    }
)


def clustered(spec: Deployment) -> bool:
    """Whether a gateway shares its database with others. A replayed recording has one gateway."""
    return spec.topology != "single" and spec.gateways.settings.get("market_source") != "replay"


def secret_files(spec: Deployment, given: frozenset[str] = frozenset()) -> dict[str, str]:
    """The secrets that a gateway reads, name → path. `given`: the optional ones that the stack has."""
    here = {"api_key"} | (given & {"admin_password", "binance_api_key", "binance_api_secret"} & set(wanted(spec)))
    if spec.topology != "single":
        here |= {"postgres_dsn", "redis_url"}
    if clustered(spec):
        here.add("cluster_secret")
    return {name: f"{SECRETS_DIR}/{name}" for name in sorted(here)}


def variables(spec: Deployment, replica: int = 1, given: frozenset[str] = frozenset()) -> dict[str, str]:
    """Of gateway number `replica`. On Kubernetes all are alike, with $(POD_NAME) and $(POD_IP).

    In single they are of the one process that starts the embedded stores and the gateway: no store among them. What an
    older image does not know is not among them.
    """
    return {name: value for name, value in every_variable(spec, replica, given).items() if knows(spec, name)}


def every_variable(spec: Deployment, replica: int = 1, given: frozenset[str] = frozenset()) -> dict[str, str]:
    """Those of an image that knows them all."""
    found = {f"VELOZ_{name.upper()}": _text(value) for name, value in spec.gateways.settings.items()}
    found |= dict(_derived(spec, replica))
    return found | {f"VELOZ_{name.upper()}_FILE": path for name, path in secret_files(spec, given).items()}


def _derived(spec: Deployment, replica: int) -> Iterator[tuple[str, str]]:
    on_kubernetes = spec.topology == "kubernetes"
    host = names.listen(spec, "gateway", replica)
    yield "VELOZ_HOST", host
    yield "VELOZ_PORT", str(ports.GATEWAY)
    yield "VELOZ_GATEWAY_ID", f"$({POD_NAME})" if on_kubernetes else names.gateway_id(replica)
    yield "VELOZ_DRAIN_POLICY", spec.gateways.drain_policy
    yield "VELOZ_SESSION_COOKIE_SECURE", _text(spec.encrypted)
    if clustered(spec):
        yield "VELOZ_ADVERTISE_URL", f"http://{f'$({POD_IP})' if on_kubernetes else host}:{ports.GATEWAY}"
    if spec.topology != "single":
        yield "VELOZ_TRUSTED_PROXIES", ",".join(trusted_proxies(spec))
        yield "VELOZ_METRICS_ACCESS", "open"  # the balancer lets nobody through to /metrics


def trusted_proxies(spec: Deployment) -> tuple[str, ...]:
    """Who may say where a request is from."""
    match spec.topology:
        case "single":
            return ()
        case "compose":
            return (names.address(spec, "app", "balancer"),)
        case "kubernetes":
            return spec.kubernetes.pod_networks + spec.kubernetes.ingress_networks


def _text(value: str | float | bool | list[str]) -> str:  # noqa: FBT001 - a setting's value
    if isinstance(value, bool):
        return str(value).lower()
    return ",".join(value) if isinstance(value, list) else str(value)
