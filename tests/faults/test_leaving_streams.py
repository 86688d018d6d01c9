"""A stream comes back to another gateway though the balancer has idle connections to the one that leaves."""

import asyncio

import aiohttp
import pytest

from stacks.balancer import Kind
from tests.faults.cluster import Cluster, Shape
from tests.faults.scale import Figure
from tests.faults.stream import AWAY_SECONDS, Follower
from tests.faults.waiting import until

BALANCERS: list[Kind] = ["nginx", "haproxy"]
SHAPES = [Shape(balancer=kind, durations={"drain_linger": 2.0}) for kind in BALANCERS]
AT_ONCE = 60


@pytest.mark.parametrize("own_cluster", SHAPES, indirect=True, ids=BALANCERS)
async def test_a_stream_is_back_in_time_though_connections_to_who_leaves_are_kept(
    own_cluster: Cluster, figure: Figure
) -> None:
    cluster = own_cluster
    await cluster.start()
    followers = [Follower(cluster.url, cluster.headers, patient=True) for _ in range(6)]

    async def connected() -> bool:
        return all(follower.retry for follower in followers)

    following = [asyncio.create_task(follower.run()) for follower in followers]
    try:
        await until(connected, seconds=10)
        for gateway in cluster.gateways:
            await _keep_connections(cluster)
            assert await gateway.stop() == 0
            gateway.start()
            await cluster.settled()
    finally:
        for task in following:
            task.cancel()
        await asyncio.gather(*following, return_exceptions=True)
    gaps = [gap for follower in followers for gap in follower.gaps]
    figure("streams came back", len(gaps))
    figure("refused on the way", refused := sum(follower.refusals for follower in followers))
    figure("longest away, s", max(gaps))
    assert len(gaps) >= len(followers)
    assert refused == 0
    assert max(gaps) <= AWAY_SECONDS


async def _keep_connections(cluster: Cluster) -> None:
    """As many requests at once as leave the balancer with idle connections to every gateway."""
    async with aiohttp.ClientSession(headers=cluster.headers, connector=aiohttp.TCPConnector(limit=0)) as session:

        async def ask() -> int:
            async with session.get(f"{cluster.url}/api/account") as answer:
                await answer.read()
                return answer.status

        assert set(await asyncio.gather(*(ask() for _ in range(AT_ONCE)))) == {200}
