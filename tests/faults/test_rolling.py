"""Gateways are replaced one by one behind a real balancer and no request fails; who joins or leaves moves its share only."""

import asyncio
import random
import time
from pathlib import Path

import pytest

from stacks.balancer import Kind
from tests.faults.checker import report
from tests.faults.cluster import Cluster, Shape
from tests.faults.fleet import campaign
from tests.faults.ledger import Call
from tests.faults.scale import FULL, Figure, scaled
from tests.faults.stream import AWAY_SECONDS

EXIT_SECONDS = 25.0
REQUESTS = scaled(500, 20_000)
RATE = scaled(60.0, 80.0)
LINGER = {"drain_linger": scaled(2.0, 7.0)}
BALANCERS: list[Kind] = ["nginx", "haproxy"] if FULL else ["nginx"]
SHARDS = 256


SHAPES = [Shape(balancer=kind, durations=LINGER) for kind in BALANCERS]


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("own_cluster", SHAPES, indirect=True, ids=BALANCERS)
async def test_a_rolling_update_fails_no_request(
    own_cluster: Cluster, tmp_path: Path, seed: int, figure: Figure
) -> None:
    exits: list[float] = []
    statuses: list[int] = []

    async def roll(cluster: Cluster) -> None:
        started = time.monotonic()
        while not exits or time.monotonic() - started < REQUESTS / RATE:
            for gateway in cluster.gateways:
                asked = time.monotonic()
                statuses.append(await gateway.stop())
                exits.append(time.monotonic() - asked)
                gateway.start()
                await gateway.ready(30)

    await own_cluster.start()
    result = await campaign(own_cluster, tmp_path, roll, seed=seed, rate=RATE, by_balancer=True)
    figure("gateways replaced", len(exits))
    figure("slowest exit, s", max(exits))
    figure("run", result.summary())
    assert not (found := result.violations()), report(found)
    assert set(statuses) == {0}
    assert max(exits) <= EXIT_SECONDS
    assert not (failed := result.failed()), _words(failed)
    assert result.statuses().total() >= REQUESTS
    assert max(result.gaps) <= AWAY_SECONDS


async def test_who_joins_and_leaves_moves_only_its_share_and_fails_no_request(
    own_cluster: Cluster, tmp_path: Path, seed: int, rng: random.Random, figure: Figure
) -> None:
    cluster = own_cluster
    moved: list[int] = []

    async def join_and_leave(cluster: Cluster) -> None:
        await asyncio.sleep(rng.uniform(0.2, 0.5))
        before = cluster.shards()
        newcomer = cluster.gateways[-1]
        newcomer.start()
        await cluster.settled()
        joined = cluster.shards()
        for shard, (owner, epoch) in joined.items():
            if owner == newcomer.owner:
                moved.append(shard)
                assert epoch > before[shard][1]
            else:
                assert (owner, epoch) == before[shard], f"shard {shard} moved though the newcomer did not take it"
        assert await newcomer.stop() == 0
        await cluster.settled()
        for shard, (owner, epoch) in cluster.shards().items():
            assert owner == before[shard][0]
            assert (epoch == joined[shard][1]) is (shard not in moved), f"shard {shard} moved, or did not"
        newcomer.start()

    cluster.add_gateway()
    for gateway in cluster.gateways[:-1]:
        gateway.start()
    await cluster.settled()
    result = await campaign(cluster, tmp_path, join_and_leave, seed=seed, by_balancer=True)
    figure("shards that a fourth gateway took", len(moved))
    figure("join and leave", result.summary())
    assert not (found := result.violations()), report(found)
    assert not (failed := result.failed()), _words(failed)
    assert SHARDS / 8 < len(moved) < SHARDS / 2.5


def _words(failed: list[Call]) -> str:
    return "\n".join([f"{len(failed)} failed", *(str(call) for call in failed[:5])])
