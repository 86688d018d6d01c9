"""No order is lost or doubled when the database ends the gateway's connections, a commit's among them."""

import asyncio
import random
from pathlib import Path

import psycopg

from tests.faults.campaign import campaign
from tests.faults.checker import check, report
from tests.faults.gateway import Gateway, environment

CUTS = 10


async def test_no_order_is_lost_or_doubled_by_connections_that_end(
    database: str, redis_url: str, engine_binary: Path, tmp_path: Path, seed: int, rng: random.Random
) -> None:
    async def break_it(gateway: Gateway) -> None:
        async with await psycopg.AsyncConnection.connect(database, autocommit=True) as server:
            for _ in range(CUTS):
                await gateway.ready()
                await asyncio.sleep(rng.uniform(0, 0.3))
                share = rng.choice([0.3, 1.0])
                cut = await server.execute(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid() AND random() < %s",
                    (share,),
                )
                ended.append(cut.rowcount)
            assert gateway.starts == 1

    ended: list[int] = []
    result = await campaign(tmp_path, environment(database, redis_url, engine_binary), break_it, seed=seed)
    print(f"{sum(ended)} connections ended in {CUTS} cuts; {result.summary()}")  # noqa: T201
    assert not (found := check(result.facts)), report(found)
    assert sum(ended) > CUTS
