"""Each process's part of the shared windows: said again as often as need be, never counted twice."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from prometheus_client import CollectorRegistry, Gauge
from redis.asyncio import Redis

from app.cache import Cache
from app.rate_store import RateStore

ASK = [[("s", 2, 100)]]


@pytest.fixture
async def cache(redis_url: str) -> AsyncIterator[Cache]:
    made = Cache(redis_url, timeout=0.5, retry=1.0, up=Gauge("up", "up", registry=CollectorRegistry()))
    yield made
    await made.close()


@pytest.fixture
def client(cache: Cache) -> Redis:
    assert cache.client is not None
    return cache.client


@pytest.fixture
async def store(cache: Cache) -> RateStore:
    made = RateStore(cache, 60)
    await made.reach()
    await made.seed({})
    return made


async def now(client: Redis) -> int:
    """The bucket of this moment."""
    return int((await client.time())[0])


async def total(client: Redis) -> int:
    return sum(map(int, await client.hvals("veloz:limit:s")))


async def test_nothing_is_charged_before_the_seed_and_after_a_loss(cache: Cache, client: Redis) -> None:
    store = RateStore(cache, 60)
    assert await store.ask(ASK) is None, "no script"
    await store.reach()
    assert await store.ask(ASK) is None, "no marker"
    await store.seed({})
    assert await store.ask(ASK) is not None
    assert await total(client) == 2
    await client.script_flush()
    assert await store.ask(ASK) is None, "a server that was started again, or another one"
    await store.reach()
    assert await store.ask(ASK) is not None
    await client.flushall()
    assert await store.ask(ASK) is None, "a server that was emptied"
    assert await total(client) == 0


async def test_a_seed_replaces_all_that_the_process_had_and_nothing_of_others(
    cache: Cache, client: Redis, store: RateStore
) -> None:
    other = RateStore(cache, 60)
    await other.reach()
    await other.seed({})
    await other.ask([[("s", 5, 100)]])
    await store.ask(ASK)
    bucket = await now(client)
    await store.seed({"s": {bucket - 3: 7}})
    assert await total(client) == 5 + 7
    await store.seed({"s": {bucket - 1: 4, bucket - 2: 1}})
    assert await total(client) == 5 + 5
    await store.seed({"s": {}})
    assert await total(client) == 5
    assert 0 < await client.pttl("veloz:limit:s") <= 62_000


async def test_what_is_read_after_a_later_seed_is_void(client: Redis, store: RateStore) -> None:
    bucket = await now(client)
    await store.seed({"s": {bucket: 3}})
    store._epoch -= 1
    assert await store.ask(ASK) is None
    store._epoch -= 1
    await store.seed({"s": {bucket: 50}})
    assert await total(client) == 3


async def test_many_subjects_are_seeded_in_parts(client: Redis, store: RateStore) -> None:
    bucket = await now(client)
    await store.seed({f"many{number}": {bucket: number + 1} for number in range(1000)})
    assert len(await client.keys("veloz:limit:many*")) == 1000
    answer = await store.ask([[("many999", 1, 5000)]])
    assert answer is not None
    assert answer[1:3] == [1, 1000]
