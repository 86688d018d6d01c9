"""What other gateways ask of this one: commands for accounts that it owns. Signed; never passed on to a third."""

from __future__ import annotations

import time

import msgspec
from aiohttp import web

from app.errors import VelozError
from app.keys import ROUTE, SERVICES
from app.operation import answer
from app.peers import HEADER, PATH, opened
from app.requests import MISDIRECTED, FollowKillSwitch, Message, Refusal, Reply, refusal_of
from app.tenure import NotHere

_message = msgspec.json.Decoder(Message).decode
_FORBIDDEN = 403


async def command(request: web.Request) -> web.Response:
    """403: not signed by a gateway of this cluster; 421: the account is not ours, nothing was done."""
    services = request.app[SERVICES]
    request[ROUTE] = PATH
    body = await request.read()
    settings = services.settings
    envelope = opened(request.headers.get(HEADER, ""), settings.cluster_secret, settings.gateway_id, body)
    if envelope is None:
        services.metrics.denied.labels("not_a_peer").inc()
        return web.Response(status=_FORBIDDEN)
    deadline = time.monotonic() + envelope.budget / 1000
    try:
        message = _message(body)
        if isinstance(message, FollowKillSwitch):
            result: object = await services.exchange.follow_kill_switch()
        else:
            result = await services.exchange.here(message, deadline)
    except NotHere:
        return web.Response(status=MISDIRECTED)
    except msgspec.MsgspecError as error:
        return answer(Reply(refusal=Refusal("bad_params", f"the gateways are of different versions: {error}")))
    except VelozError as error:
        return answer(Reply(refusal=refusal_of(error)))
    return answer(Reply(result=msgspec.Raw(msgspec.json.encode(result))))
