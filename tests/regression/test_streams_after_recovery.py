"""Orders that expire while the engine is away: their events are numbered and seen as if it had not been."""

import asyncio
import time
from pathlib import Path

import psycopg

from tests.e2e.api import Api
from tests.faults.checker import check, report
from tests.faults.facts import gather
from tests.faults.gateway import environment, running
from tests.faults.killer import end_engine
from tests.faults.stream import Follower

ORDERS = 1_000
SENDERS = 20
PLACING_SECONDS = 4.0
EXPIRING_SECONDS = 3.0


async def test_what_expires_while_the_engine_is_away_is_streamed_once_and_in_order(
    database: str, redis_url: str, engine_binary: Path, tmp_path: Path
) -> None:
    quick = {"VELOZ_ENGINE_HEARTBEAT": "0.002"}  # it is the heartbeat that lets orders expire
    environ = environment(database, redis_url, engine_binary, **quick)
    async with running(tmp_path, environ) as gateway, Api(gateway) as api:
        follower = Follower(gateway.url, gateway.headers)
        following = asyncio.create_task(follower.run())
        first = time.time() + PLACING_SECONDS
        await asyncio.gather(*(_expiring(api, number, first) for number in range(SENDERS)))
        while time.time() < first + EXPIRING_SECONDS:
            await end_engine(gateway)
        await asyncio.sleep(0.5)
        with psycopg.connect(database) as connection:
            head = gather(connection).head
        await follower.reached(head)
        following.cancel()
    with psycopg.connect(database) as connection:
        facts = gather(connection, [], [follower])
    assert not (found := check(facts)), report(found)
    assert {row["status"] for row in facts.orders.values()} == {"EXPIRED"}


async def _expiring(api: Api, sender: int, first: float) -> None:
    """Orders that expire one after the other, so that some do at any moment of a recovery."""
    for number in range(sender, ORDERS, SENDERS):
        expiry = first + EXPIRING_SECONDS * number / ORDERS
        answer = await api.order(f"order-{number}", tif="GTD", expire_ts=str(int(expiry * 1e9)))
        assert answer.status == 200, answer.text
