"""The limit is exact: in no window does a subject use more, whoever counts."""

from __future__ import annotations

import asyncio
import socket
import time
from collections.abc import AsyncIterator

import pytest
from prometheus_client import CollectorRegistry, Gauge

from app.cache import Cache, CacheAway
from app.ratelimit import Charge, Limiter


def cache(url: str, retry: float = 1.0) -> Cache:
    return Cache(url, timeout=0.2, retry=retry, up=Gauge("up", "up", registry=CollectorRegistry()))


@pytest.fixture
async def redis_cache(redis_url: str) -> AsyncIterator[Cache]:
    made = cache(redis_url)
    yield made
    await made.close()


async def test_a_limit_holds_over_gateways_that_share_it(redis_cache: Cache) -> None:
    gateways = [Limiter(redis_cache, 60) for _ in range(3)]
    charge = [Charge("key:k", 1, 50)]
    verdicts = await asyncio.gather(*(gateways[i % 3].use(charge) for i in range(200)))
    assert sum(v.allowed for v in verdicts) == 50


async def test_requests_of_one_moment_share_a_round_trip(redis_cache: Cache) -> None:
    limiter, client = Limiter(redis_cache, 60), redis_cache.client
    assert client is not None
    await limiter.use([Charge("warm", 1, 9)])
    before = (await client.info("commandstats"))["cmdstat_evalsha"]["calls"]
    verdicts = await asyncio.gather(
        *(limiter.use([Charge(f"s{i % 3}", 1, 10), Charge("all", 1, 25)]) for i in range(90))
    )
    assert sum(v.allowed for v in verdicts) == 25
    assert (await client.info("commandstats"))["cmdstat_evalsha"]["calls"] - before <= 3


async def test_a_refused_request_costs_nothing(redis_cache: Cache) -> None:
    limiter = Limiter(redis_cache, 60)
    assert (await limiter.use([Charge("a", 9, 10)])).remaining == 1
    assert not (await limiter.use([Charge("a", 2, 10)])).allowed
    last = await limiter.use([Charge("a", 1, 10)])
    assert (last.allowed, last.remaining) == (True, 0)


async def test_when_one_subject_refuses_the_other_is_not_charged(redis_cache: Cache) -> None:
    limiter = Limiter(redis_cache, 60)
    await limiter.use([Charge("full", 5, 5)])
    assert not (await limiter.use([Charge("free", 3, 10), Charge("full", 1, 5)])).allowed
    assert (await Limiter(redis_cache, 60).use([Charge("free", 0, 10)])).remaining == 10


async def test_the_answer_tells_the_subject_nearest_to_its_limit(redis_cache: Cache) -> None:
    verdict = await Limiter(redis_cache, 60).use([Charge("wide", 1, 100), Charge("narrow", 1, 3)])
    assert (verdict.limit, verdict.remaining) == (3, 2)
    headers = verdict.headers()
    assert headers["X-RateLimit-Limit"] == "3"
    assert headers["X-RateLimit-Remaining"] == "2"
    assert 0 <= int(headers["X-RateLimit-Reset"]) - time.time() <= 63


async def test_no_window_holds_more_than_the_limit_while_time_goes_on(redis_cache: Cache) -> None:
    """Two clients of one subject press for three windows of 1 s; every allowed request's time is noted."""
    limiters = [Limiter(redis_cache, 1), Limiter(redis_cache, 1)]
    allowed: list[tuple[float, float]] = []
    end = time.monotonic() + 3.0

    async def press(limiter: Limiter) -> None:
        while (begun := time.monotonic()) < end:
            if (await limiter.use([Charge("s", 1, 20)])).allowed:
                allowed.append((begun, time.monotonic()))
            await asyncio.sleep(0.001)

    await asyncio.gather(*map(press, limiters))
    for earliest, _ in allowed:
        assert sum(1 for begun, done in allowed if begun >= earliest and done <= earliest + 1.0) <= 20
    assert len(allowed) >= 55, "given back as time goes on"


async def test_a_wait_of_retry_after_is_enough(redis_cache: Cache) -> None:
    limiter = Limiter(redis_cache, 1)
    await limiter.use([Charge("s", 5, 5)])
    refused = await limiter.use([Charge("s", 1, 5)])
    assert not refused.allowed
    assert 0 < refused.retry_after <= 1.04
    assert refused.headers()["Retry-After"] in {"1", "2"}
    await asyncio.sleep(refused.retry_after + 0.01)
    assert (await limiter.use([Charge("s", 1, 5)])).allowed


async def test_a_limit_of_zero_does_not_limit(redis_cache: Cache) -> None:
    assert (await Limiter(redis_cache, 60).use([Charge("s", 10**6, 0)])).allowed


async def test_a_restarted_redis_is_given_the_script_again(redis_cache: Cache) -> None:
    limiter = Limiter(redis_cache, 60)
    await limiter.use([Charge("s", 1, 5)])
    assert redis_cache.client is not None
    await redis_cache.client.script_flush()
    await redis_cache.client.flushall()
    assert (await limiter.use([Charge("s", 1, 5)])).allowed


async def test_without_redis_the_same_rule_holds_on_the_gateways_own_count() -> None:
    limiter = Limiter(cache(""), 60)
    verdicts = await asyncio.gather(*(limiter.use([Charge("s", 1, 50)]) for _ in range(200)))
    assert sum(v.allowed for v in verdicts) == 50


async def test_a_redis_that_goes_away_leaves_the_count_as_it_was(redis_url: str) -> None:
    living = cache(redis_url)
    limiter = Limiter(living, 60)
    for _ in range(30):
        await limiter.use([Charge("s", 1, 50)])
    limiter._store._cache = cache("unix:///nonexistent/redis.sock")
    allowed = [await limiter.use([Charge("s", 1, 50)]) for _ in range(40)]
    assert sum(v.allowed for v in allowed) == 20
    await living.close()


async def test_a_dead_redis_is_left_alone_and_costs_no_time() -> None:
    dead = cache("redis://127.0.0.1:1/0", retry=5.0)
    limiter = Limiter(dead, 60)
    await limiter.use([Charge("s", 1, 10_000)])
    begun = time.perf_counter()
    for _ in range(1000):
        await limiter.use([Charge("s", 1, 10_000)])
    assert time.perf_counter() - begun < 0.5


async def test_a_redis_that_does_not_answer_is_given_up_after_its_time_out() -> None:
    async def swallow(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read()
        writer.close()

    silent = await asyncio.start_server(swallow, "127.0.0.1", 0)
    port = silent.sockets[0].getsockname()[1]
    hung = cache(f"redis://127.0.0.1:{port}/0")
    begun = time.perf_counter()
    with pytest.raises(CacheAway):
        await hung.ping()
    assert time.perf_counter() - begun < 0.6
    await hung.close()
    silent.close()
    await silent.wait_closed()


async def test_a_redis_that_hangs_delays_requests_once_and_then_none() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:  # nobody accepts, as from a stopped process
        hanging = cache(f"redis://127.0.0.1:{server.getsockname()[1]}", retry=0.1)
        limiter, took = Limiter(hanging, 60), []
        for _ in range(20):
            begun = time.perf_counter()
            assert (await limiter.use([Charge("key:a", 1, 100)])).allowed
            took.append(time.perf_counter() - begun)
            await asyncio.sleep(0.03)  # the pause after a failure passes several times
        await hanging.close()
    assert took[0] < 0.45
    assert max(took[1:]) < 0.1
