"""A database that answers nothing, seen over HTTP: every answer comes in time, and afterwards all is as before."""

from __future__ import annotations

import asyncio
import time

from psycopg.conninfo import conninfo_to_dict, make_conninfo

from tests.app.core.test_database import Hole
from tests.app.http.conftest import MakeGateway, is_ready, until


async def test_a_silent_database_is_answered_in_two_seconds_and_then_at_once(
    database: str, make_gateway: MakeGateway
) -> None:
    given = conninfo_to_dict(database)
    hole = Hole(f"{given['host']}/.s.PGSQL.{given.get('port', 5432)}")
    server = await asyncio.start_server(hole.serve, "127.0.0.1", 0)
    dsn = make_conninfo(database, host="127.0.0.1", port=server.sockets[0].getsockname()[1])
    async with server, make_gateway(POSTGRES_DSN=dsn) as gateway:
        placed = await gateway.order()
        assert placed.status == 200
        async with gateway.stream() as events:
            hole.open.clear()
            for path, most in (("/api/account", 2.2), ("/api/orders", 2.2), ("/api/trades", 0.2)):
                begun = time.monotonic()
                reply = await gateway.get(path)
                reply.refused(503, "execution_unavailable")
                assert int(reply.headers["Retry-After"]) >= 1
                assert time.monotonic() - begun < most
            assert (await gateway.get("/health/live")).status == 200

            async def noticed() -> bool:
                return "database" in (await gateway.get("/health/ready")).json["failing"]

            await until(noticed, 5)
            hole.open.set()
            await until(lambda: is_ready(gateway), 15)
            assert await events.next() is not None, "the stream went on"
        assert (await gateway.order()).json == placed.json
        assert gateway.services.metrics.internal_errors._value.get() == 0
