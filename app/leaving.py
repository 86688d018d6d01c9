"""How one of several gateways leaves: the others take its accounts while it serves on, then its clients are sent to them.

The listener is closed before the streams, so that nobody comes back here. A request on a kept connection is answered to the last,
with `Connection: close`; a balancer closes idle ones by itself before this gateway would, so none is cut with a request on it.
"""

from __future__ import annotations

import logging
import time

from aiohttp import web

from app.keys import Services
from app.protocol import EdgeRunner

_LOG = logging.getLogger("veloz")
_LEAST = 1.0


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
    left = max(_LEAST, deadline - time.monotonic())
    if not services.exchange.directory.others():
        return left
    if not handed:
        _LOG.warning("not every account was taken over in time")
    await site.stop()
    services.streams.end()
    await runner.deserted(settings.drain_linger)
    return left
