"""No order fails while Valkey is killed; it holds nothing that orders need."""

import asyncio
import random
from pathlib import Path

import pytest

from tests.faults.checker import report
from tests.faults.cluster import Cluster
from tests.faults.fleet import campaign
from tests.faults.scale import Figure, scaled

KILLS = scaled(2, 20)


@pytest.mark.timeout(600)
async def test_no_order_fails_while_valkey_is_killed(
    cluster: Cluster, tmp_path: Path, seed: int, rng: random.Random, figure: Figure
) -> None:
    async def break_it(cluster: Cluster) -> None:
        for _ in range(KILLS):
            await asyncio.sleep(rng.uniform(0.2, 1.0))
            cluster.valkey.kill()
            await asyncio.sleep(rng.uniform(0.5, 2.0))
            await asyncio.to_thread(cluster.valkey.start)
        await asyncio.sleep(1)

    await cluster.start()
    result = await campaign(cluster, tmp_path, break_it, seed=seed)
    figure("Valkey killed", KILLS)
    figure("run", result.summary())
    assert not (found := result.violations()), report(found)
    assert not (failed := result.failed()), f"{len(failed)} failed, the first: {failed[0]}"
    figure("slowest answer, s", max(call.seconds for facts in result.accounts for call in facts.calls))
