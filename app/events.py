"""The event stream: server-sent events whose ids are what a client resumes after, on any gateway, after any restart."""

from __future__ import annotations

import asyncio
import logging
import re
import socket
from contextlib import AbstractAsyncContextManager
from typing import Any

import msgspec
from aiohttp import web

from app.borrow import DATABASE_AWAY
from app.dead_man import held_by_stream
from app.errors import BadParams, ExecutionUnavailable, Forbidden, VelozError
from app.hub import StreamItem, Subscription
from app.keys import Services
from app.middleware import finish
from app.operation import Call
from app.params import TOKEN, Amount
from app.protocol import give_up_after
from app.roles import Role

_LOG = logging.getLogger("veloz.stream")

ALL = "*"
_ID = re.compile(r"[0-9]{1,19}", re.ASCII)
_CURSOR = re.compile(r"[A-Za-z0-9_=.:/+-]{1,256}", re.ASCII)
_HEARTBEAT = b": \n\n"
# What the kernel may hold for a reader that stopped reading.
_SEND_BUFFER = 65_536


class StreamQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`last_id`: the id after which to go on; the header Last-Event-ID goes before it. `account=*` (admin): all accounts.

    `cancel_on_disconnect`: seconds after the key's last such stream in which it may come back; then its orders are cancelled.
    """

    last_id: str | None = None
    account: str | None = None
    cancel_on_disconnect: Amount | None = None


def _send_elsewhere(call: Call[Any, Any]) -> None:
    """Of one behind a balancer, end the connection unanswered: ConnectionError.

    It came on a connection that the balancer had kept. nginx hands an answer of 503 on to the client, who then waits before it
    comes back, longer than a stream may be away; what ends without an answer it asks of the next gateway, for a GET is harmless.
    """
    services = call.services
    others = services.settings.trusted_proxies and services.exchange.directory.others()
    if others and call.request.transport is not None:
        call.request.transport.close()
        raise ConnectionError("the gateway is leaving; its balancer asks another")


def encode(item: StreamItem) -> bytes:
    """One event as text/event-stream. Payloads are JSON on one line."""
    head = b"" if item.id is None else b"id: " + item.id.encode() + b"\n"
    return head + b"event: " + item.type.encode() + b"\ndata: " + item.payload + b"\n\n"


async def stream(call: Call[StreamQuery, Any]) -> web.StreamResponse:
    """Events until the client leaves, its credential ends, it stops reading, or the gateway drains."""
    services = call.services
    if services.lifecycle.draining:
        _send_elsewhere(call)
        raise ExecutionUnavailable("the gateway is leaving; connect again")
    with services.streams.counted(call.principal.key_id, services.config.streams_per_key):
        held = held_by_stream(call, call.query.cancel_on_disconnect)
        async with _subscription(call, await _start_id(call)) as subscription, held:
            response = await _open(call)
            try:
                async with asyncio.timeout(None) as scope:
                    with services.streams.ending(scope):
                        await _follow(call, subscription, response)
            except TimeoutError:
                pass  # the gateway drains
            except ConnectionError:
                return response
            except (VelozError, *DATABASE_AWAY) as error:
                # The answer has begun; an envelope would be read as events.
                _LOG.warning("a stream ended", extra={"why": str(error)})
            await _close(response, services)
            return response


async def _start_id(call: Call[StreamQuery, Any]) -> str | None:
    given = call.request.headers.get("Last-Event-ID", "").strip() or call.query.last_id or None
    if call.query.account == ALL:
        if call.principal.role is not Role.ADMIN:
            raise Forbidden("only an admin may follow all accounts")
        if given is not None and not _CURSOR.fullmatch(given):
            raise BadParams("last_id is not a cursor of this stream")
        return given
    if given is not None and not (_ID.fullmatch(given) and int(given) < 2**63):
        raise BadParams("last_id must be the id of an event: a whole number")
    account = call.account(call.query.account)
    if not TOKEN.fullmatch(account):
        raise BadParams(f"account must be {ALL} or 1 to 64 of the characters A-Z a-z 0-9 . _ : / -")
    return given


def _subscription(call: Call[StreamQuery, Any], start: str | None) -> AbstractAsyncContextManager[Subscription]:
    hub = call.services.exchange.hub
    if call.query.account == ALL:
        return hub.subscribe_all(start)
    return hub.subscribe(call.account(call.query.account), None if start is None else int(start))


async def _open(call: Call[StreamQuery, Any]) -> web.StreamResponse:
    headers = {"Content-Type": "text/event-stream", "Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    response = web.StreamResponse(headers=headers)
    finish(call.request, response)
    await response.prepare(call.request)
    transport = call.request.transport
    if transport is not None:
        give_up_after(transport, call.services.settings.stream_stall)
    connection = transport.get_extra_info("socket") if transport is not None else None
    if connection is not None and connection.family in {socket.AF_INET, socket.AF_INET6}:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, _SEND_BUFFER)
    await response.write(_retry(call.services) + _HEARTBEAT)
    return response


async def _follow(call: Call[StreamQuery, Any], subscription: Subscription, response: web.StreamResponse) -> None:
    """Returns when the credential ended. Raises ConnectionError when the reader left or stalled."""
    settings = call.services.settings
    now = asyncio.get_running_loop().time
    beaten = checked = sure = now()
    while True:
        patience = min(beaten + settings.stream_heartbeat, checked + settings.stream_recheck) - now()
        items = await subscription.next(max(0.0, patience))
        if now() - checked >= settings.stream_recheck:
            checked = now()
            good = await _still(call)
            sure = checked if good else sure
            if good is False or checked - sure > settings.stream_stall:
                return
        data = b"".join(map(encode, items))
        del items  # the reader may stall now, and these are its own
        if now() - beaten >= settings.stream_heartbeat:
            beaten = now()
            data += _HEARTBEAT
        if data:
            await _write(call, response, data)


async def _still(call: Call[StreamQuery, Any]) -> bool | None:
    """Whether the stream's credential is good; None when what would know is away."""
    try:
        return await call.services.authenticator.still(call.principal)
    except (VelozError, *DATABASE_AWAY):
        return None


async def _write(call: Call[StreamQuery, Any], response: web.StreamResponse, data: bytes) -> None:
    """Raises ConnectionError when the reader takes nothing for the stall time; its connection is then cut."""
    try:
        async with asyncio.timeout(call.services.settings.stream_stall) as stall:
            await response.write(data)
    except TimeoutError:
        if not stall.expired():
            raise
        call.services.metrics.streams_stalled.inc()
        if call.request.transport is not None:
            call.request.transport.abort()
        raise ConnectionError("the reader stalled") from None


def _retry(services: Services) -> bytes:
    return f"retry: {int(services.settings.stream_retry * 1000)}\n\n".encode()


async def _close(response: web.StreamResponse, services: Services) -> None:
    try:
        await response.write(_retry(services))
        await response.write_eof()
    except ConnectionError:
        return
