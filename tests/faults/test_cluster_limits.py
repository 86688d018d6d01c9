"""The rate limit of a key holds over all gateways, with ten times the limit asked of three."""

import asyncio
import random
import time
from collections import Counter

import aiohttp
import pytest

from tests.faults.cluster import Cluster, Shape
from tests.faults.scale import Figure, scaled

LIMIT = scaled(150, 600)
WINDOW = scaled(10, 20)
ROUNDS = scaled(1, 3)
OVER = 0.01
SENDERS = 24
HEADERS = ("X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset", "X-RateLimit-Used")

SHAPE = Shape(balancer=None, changes={"VELOZ_RATE_LIMIT_WINDOW": str(WINDOW), "VELOZ_RATE_LIMIT_KEY": str(LIMIT)})


@pytest.mark.timeout(300)
@pytest.mark.parametrize("own_cluster", [SHAPE], indirect=True, ids=["three gateways"])
async def test_three_gateways_let_pass_what_one_would(own_cluster: Cluster, rng: random.Random, figure: Figure) -> None:
    cluster = own_cluster
    await cluster.start()
    headers = await cluster.open_account("limited")
    for _ in range(ROUNDS):
        passed, statuses, bare = await _flood(cluster, headers, rng)
        most = max(sum(start <= at < start + WINDOW for at in passed) for start in passed)
        figure(f"limit {LIMIT} in {WINDOW} s: asked, passed in one window", f"{statuses.total()} {most}")
        assert set(statuses) == {200, 429}, statuses
        assert statuses.total() >= 10 * LIMIT
        assert LIMIT * 0.9 <= most <= LIMIT * (1 + OVER)
        assert not bare, f"{bare} answers without {HEADERS} or Retry-After"
        await asyncio.sleep(WINDOW)


async def _flood(
    cluster: Cluster, headers: dict[str, str], rng: random.Random
) -> tuple[list[float], Counter[int], int]:
    """Ten times the limit within a window: when those that passed were answered, all statuses, answers without headers."""
    passed: list[float] = []
    statuses: Counter[int] = Counter()
    bare = 0
    numbers = iter(range(10 * LIMIT))

    async def sender(session: aiohttp.ClientSession) -> None:
        nonlocal bare
        for _ in numbers:
            async with session.get(f"{rng.choice(cluster.urls())}/api/market") as answer:
                statuses[answer.status] += 1
                if answer.status == 200:
                    passed.append(time.monotonic())
                bare += any(name not in answer.headers for name in HEADERS)
                bare += answer.status == 429 and "Retry-After" not in answer.headers

    async with aiohttp.ClientSession(headers=headers) as session:
        await asyncio.gather(*(sender(session) for _ in range(SENDERS)))
    return passed, statuses, bare
