"""PostgreSQL and Redis, and what watches: where they are, and whether there are enough connections for every gateway."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from app.settings import EMBEDDED_CONNECTIONS, OWN_CONNECTIONS, SettingsError
from stacks.gateway_settings import gateway_settings
from stacks.refusals import Refusal
from stacks.spec import Deployment
from stacks.this_machine import is_this

# PostgreSQL's superuser_reserved_connections, by default: for who looks after it.
_RESERVED: Final = 3


def problems(spec: Deployment) -> Iterator[Refusal]:
    yield from _places(spec)
    yield from _connections(spec)
    if spec.monitoring.grafana and not spec.monitoring.prometheus:
        yield Refusal(
            "monitoring.grafana", True, "has nothing to show without monitoring.prometheus", "write both, or neither"
        )


def _places(spec: Deployment) -> Iterator[Refusal]:
    for name, store in (("postgres", spec.postgres), ("redis", spec.redis)):
        if (store.store == "embedded") != (spec.topology == "single"):
            rule = "must be embedded in single" if spec.topology == "single" else "must not be embedded but in single"
            remedy = "write embedded" if spec.topology == "single" else "choose deployed or external"
            yield Refusal(f"{name}.store", store.store, rule, remedy)
        if store.store == "external" and not store.host:
            rule = f"is required where {name}.store is external: networks let gateways through to it alone"
            yield Refusal(f"{name}.host", None, rule, "write its name or address")
        if store.store == "external" and is_this(store.host):
            rule = "is this machine to nobody but itself: a gateway in a container would look for the store beside it"
            yield Refusal(f"{name}.host", store.host, rule, "write the name or address that other hosts reach it by")


def _connections(spec: Deployment) -> Iterator[Refusal]:
    try:
        settings = gateway_settings(spec)
    except SettingsError:  # refused there
        return
    one_more = spec.most_gateways + 1
    needed = one_more * settings.connections + _RESERVED
    there = EMBEDDED_CONNECTIONS if spec.postgres.store == "embedded" else spec.postgres.max_connections
    if needed <= there:
        return
    gateways = f"{spec.most_gateways} gateways and one more while they are replaced"
    rule = (
        f"must be at least {needed}: {gateways}, each with {settings.postgres_pool_max} + {OWN_CONNECTIONS} connections, "
        f"and {_RESERVED} kept free"
    )
    if spec.postgres.store == "embedded":
        path, value, remedy = "gateways.settings.postgres_pool_max", settings.postgres_pool_max, "lower it"
        rule = f"needs {needed} connections, and an embedded PostgreSQL has {there}"
    else:
        path, value, remedy = (
            "postgres.max_connections",
            there,
            "raise it, or lower gateways.settings.postgres_pool_max",
        )
    if spec.topology == "kubernetes":
        remedy += " or kubernetes.max_replicas"
    yield Refusal(path, value, rule, remedy)
