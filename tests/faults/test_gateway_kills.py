"""R1: no acknowledged order is lost or doubled when the gateway is killed under load."""

import random
import statistics
from pathlib import Path

import pytest

from tests.faults.campaign import campaign
from tests.faults.checker import check
from tests.faults.gateway import Gateway, environment
from tests.faults.killer import kill_gateway


@pytest.mark.timeout(1200)
async def test_no_order_is_lost_or_doubled_by_kills_of_the_gateway(
    database: str, redis_url: str, engine_binary: Path, tmp_path: Path, seed: int, rng: random.Random, kills: int
) -> None:
    starts: list[float] = []

    async def break_it(gateway: Gateway) -> None:
        starts.extend(await kill_gateway(gateway, rng, kills))
        assert gateway.starts == kills + 1

    result = await campaign(tmp_path, environment(database, redis_url, engine_binary), break_it, seed=seed)
    print(f"{kills} kills, ready {statistics.median(starts):.2f} s (median), {max(starts):.2f} s (longest)")  # noqa: T201
    print(result.summary())  # noqa: T201
    assert check(result.facts) == []
    assert len(result.facts.orders) > 5 * kills, "too few orders for the kills to have met any"
    assert result.connections > kills / 2, "the followers did not come back"
