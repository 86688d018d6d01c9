"""Health: alive, able to trade, and what is missing; and the metrics page."""

from __future__ import annotations

from http import HTTPStatus
from typing import Any

import msgspec
from aiohttp import web

from app import __version__
from app.address import is_loopback
from app.admission import admit
from app.cache import CacheAway
from app.exchange import Component, Standing
from app.keys import ADDRESS
from app.operation import Call, Nothing, answer
from app.roles import Role
from app.schema_watch import Schema

_FORWARDED = {"X-Forwarded-For", "X-Real-IP", "Forwarded"}


class Alive(msgspec.Struct, frozen=True):
    """`event_loop_lag_seconds`: how late the loop was at most in the last ten seconds; it is told, not judged."""

    ok: bool
    uptime_seconds: float
    event_loop_lag_seconds: float


class Health(msgspec.Struct, frozen=True):
    """`ok` means that orders are taken. A component in `optional` does not count: without Redis, sessions are off.

    `schema` tells who returns to an older release whether its gateways would start.
    """

    ok: bool
    version: str
    uptime_seconds: float
    lease: Standing
    components: dict[str, Component]
    failing: list[str]
    optional: list[str]
    schema: Schema


async def live(call: Call[Nothing, Any]) -> web.Response:
    """Who answers is alive, unless only a new process helps.

    A loop that hangs gives no answer, which a probe's time-out sees; one that ran late and runs again needs no restart.
    """
    lifecycle, ok = call.services.lifecycle, not call.services.exchange.broken
    return _status(Alive(ok, lifecycle.uptime, lifecycle.lag), ok=ok)


async def ready(call: Call[Nothing, Any]) -> web.Response:
    services = call.services
    components = dict(services.exchange.components())
    leaving = services.lifecycle.draining
    components["gateway"] = Component(
        ok=services.lifecycle.started and not leaving,
        detail="draining" if leaving else "" if services.lifecycle.started else "starting",
    )
    try:
        await services.cache.ping()
        components["redis"] = Component(ok=True)
    except CacheAway as error:
        components["redis"] = Component(ok=False, detail=str(error))
    failing = sorted(name for name, component in components.items() if not component.ok and name != "redis")
    ok = not failing and services.exchange.ready
    standing = services.exchange.standing()
    schema = services.schema.schema()
    body = Health(ok, __version__, services.lifecycle.uptime, standing, components, failing, ["redis"], schema)
    return _status(body, ok=ok)


async def metrics(call: Call[Nothing, Any]) -> web.Response:
    """Read by everybody, by loopback peers, or with a key, as VELOZ_METRICS_ACCESS says."""
    access = call.services.settings.metrics_access
    # A request that a proxy passed on comes from elsewhere, whatever its peer.
    near = is_loopback(call.request[ADDRESS]) and not call.request.headers.keys() & _FORWARDED
    if access == "key" or (access == "loopback" and not near):
        await admit(call.request, call.services, Role.VIEWER, 1)
    return call.services.metrics.page()


def _status(body: object, *, ok: bool) -> web.Response:
    return answer(body, HTTPStatus.OK if ok else HTTPStatus.SERVICE_UNAVAILABLE)
