"""No acknowledged order is lost or doubled when the gateway is killed under load."""

import asyncio
import random
import statistics
from contextlib import ExitStack
from pathlib import Path

import pytest

from app.embedded import EmbeddedServers
from tests.conftest import new_database
from tests.faults.campaign import Result, campaign
from tests.faults.checker import check, report
from tests.faults.gateway import Gateway, environment
from tests.faults.killer import kill_gateway

LANES = 2  # gateways on databases of their own, side by side: a start waits more than it works


@pytest.mark.timeout(1200)
async def test_no_order_is_lost_or_doubled_by_kills_of_the_gateway(
    embedded: EmbeddedServers, migrated: str, engine_binary: Path, tmp_path: Path, seed: int, kills: int
) -> None:
    starts: list[float] = []

    async def lane(number: int, dsn: str) -> Result:
        count = (kills + number) // LANES

        async def break_it(gateway: Gateway) -> None:
            starts.extend(await kill_gateway(gateway, random.Random(seed + number), count))
            assert gateway.starts == count + 1

        directory = tmp_path / f"lane-{number}"
        directory.mkdir()
        environ = environment(dsn, embedded.redis_url, engine_binary)
        return await campaign(directory, environ, break_it, seed=seed + number)

    with ExitStack() as databases:
        dsns = [databases.enter_context(new_database(embedded.postgres_dsn, migrated)) for _ in range(LANES)]
        results = await asyncio.gather(*(lane(number, dsn) for number, dsn in enumerate(dsns)))
    print(f"{kills} kills, ready {statistics.median(starts):.2f} s (median), {max(starts):.2f} s (longest)")  # noqa: T201
    for result in results:
        print(result.summary())  # noqa: T201
        assert not (found := check(result.facts)), report(found)
        assert len(result.facts.orders) > 5 * kills / LANES, "too few orders for the kills to have met any"
        assert result.connections > kills / LANES / 2, "the followers did not come back"
