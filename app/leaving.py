"""How one of several gateways leaves: the others take its accounts while it serves on, then its clients are sent to them.

The listener is closed before the streams, so that nobody comes back here. A request on a kept connection is answered to the last,
with `Connection: close`; a balancer closes idle ones by itself before this gateway would, so none is cut with a request on it.
"""

from __future__ import annotations

import asyncio
import logging
import os
import socket
import time

from aiohttp import web

from app.keys import Services
from app.protocol import EdgeRunner
from app.settings import LEAST_DRAIN

_LOG = logging.getLogger("veloz")


async def leave_to_others(services: Services, runner: EdgeRunner, site: web.TCPSite) -> float:
    """Return when this gateway has no account and no connection any more, or when it has waited long enough.

    At once when there is nobody to leave to. The seconds that are left of the time for orders in flight.
    """
    services.lifecycle.draining = True
    settings = services.settings
    if not settings.advertise_url or not services.lifecycle.exchange_started:
        return settings.drain_timeout
    deadline = time.monotonic() + settings.drain_timeout
    handed = await services.exchange.hand_over(settings.drain_timeout)
    left = max(LEAST_DRAIN, deadline - time.monotonic())
    if not services.exchange.directory.others():
        return left
    if not handed:
        _LOG.warning("not every account was taken over in time")
    await stop_listening(runner, site)
    services.streams.end()
    await runner.deserted(settings.drain_linger)
    return left


async def stop_listening(runner: EdgeRunner, site: web.TCPSite) -> None:
    """Close the listener. Connections that the kernel took for it meanwhile are served; closing alone would reset them.

    A balancer may have sent a request on one, and must not send that again.
    """
    server = site._server  # noqa: SLF001 - aiohttp shows it nowhere else
    listeners = getattr(server, "sockets", ())  # uvloop's is no asyncio.Server
    doubles = [socket.socket(fileno=os.dup(listener.fileno())) for listener in listeners]
    await site.stop()
    taken: list[socket.socket] = []
    for double in doubles:
        double.setblocking(False)
        with double:
            while (connection := _next(double)) is not None:
                taken.append(connection)
    loop = asyncio.get_running_loop()
    for connection in taken:
        if runner.server is not None:
            await loop.connect_accepted_socket(runner.server, connection)


def _next(listener: socket.socket) -> socket.socket | None:
    """A connection that waits to be accepted; None when none does."""
    try:
        connection, _ = listener.accept()
    except BlockingIOError:
        return None
    connection.setblocking(False)
    return connection
