"""Three gateways' limiters on one Valkey of their own, which is killed, stopped, emptied and started again under pressure."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import subprocess
import time
from bisect import bisect_left, bisect_right
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
import redis
from prometheus_client import CollectorRegistry, Gauge

from app.cache import Cache
from app.child import bound_to_us, environment
from app.embedded import VALKEY_SETTINGS, valkey_program
from app.ratelimit import Charge, Limiter
from app.settings import Settings

DEFAULTS = Settings(postgres_dsn="")
GATEWAYS = 3
WINDOW = 3
LIMIT = 300
BACK_SECONDS = 3.0
TOLERANCE = 1.01


class Server:
    """A Valkey of the test's own, with the settings it has under `make run`."""

    def __init__(self, directory: Path) -> None:
        self.socket = directory / "valkey.sock"
        self.url = f"unix://{self.socket}?db=0"
        self._data = directory / "data"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._data.mkdir(exist_ok=True)
        settings = {**VALKEY_SETTINGS, "dir": str(self._data), "unixsocket": str(self.socket)}
        words = [word for name, value in settings.items() for word in (f"--{name}", value)]
        command = bound_to_us([valkey_program(), *words], signal.SIGKILL)
        self._process = subprocess.Popen(command, env=environment(), stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 10
        while not self._answers():
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def _answers(self) -> bool:
        with contextlib.suppress(redis.RedisError), redis.Redis(unix_socket_path=str(self.socket)) as client:
            return bool(client.ping())
        return False

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)
        if number == signal.SIGKILL:
            self._process.wait()

    def forget(self) -> None:
        """Lose all data; it is not running."""
        for path in sorted(self._data.rglob("*"), reverse=True):
            path.rmdir() if path.is_dir() else path.unlink()

    def total(self, subject: str) -> int:
        """What it holds of a subject, out of the window or not."""
        with redis.Redis(unix_socket_path=str(self.socket)) as client:
            return sum(map(int, client.hvals(f"veloz:limit:{subject}")))


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    made = Server(tmp_path)
    made.start()
    yield made
    with contextlib.suppress(ProcessLookupError):
        made.signal(signal.SIGKILL)


@asynccontextmanager
async def gateways(server: Server, window: int = WINDOW) -> AsyncIterator[list[Limiter]]:
    """With the product's time-outs."""
    timeout, retry = DEFAULTS.redis_timeout, DEFAULTS.redis_retry
    gauges = [Gauge("up", "up", registry=CollectorRegistry()) for _ in range(GATEWAYS)]
    caches = [Cache(server.url, timeout=timeout, retry=retry, up=gauge) for gauge in gauges]
    made = [Limiter(cache, window, lambda: GATEWAYS) for cache in caches]
    tasks = [asyncio.create_task(limiter.run()) for limiter in made]
    try:
        yield made
        assert not any(task.done() for task in tasks)
    finally:
        for task in tasks:
            task.cancel()
        for cache in caches:
            await cache.close()


async def until(condition: Callable[[], bool], seconds: float) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - other tasks and processes bring it about
            await asyncio.sleep(0.005)


def exact(limiters: Sequence[Limiter]) -> bool:
    return all(limiter.exact for limiter in limiters)


async def use(limiter: Limiter, subject: str, times: int, limit: int = LIMIT) -> int:
    """How many of so many requests at once are allowed."""
    verdicts = await asyncio.gather(*(limiter.use([Charge(subject, 1, limit)]) for _ in range(times)))
    return sum(verdict.allowed for verdict in verdicts)


class Pressure:
    """All gateways pressed for one subject, well over ten times the limit; when what was allowed began and ended."""

    def __init__(self, limiters: Sequence[Limiter], tasks_each: Sequence[int]) -> None:
        self.allowed: list[tuple[float, float]] = []
        self.asked = 0
        self._tasks = [
            asyncio.create_task(self._press(limiter))
            for limiter, count in zip(limiters, tasks_each, strict=True)
            for _ in range(count)
        ]

    async def _press(self, limiter: Limiter) -> None:
        while True:
            begun = time.monotonic()
            self.asked += 1
            if (await limiter.use([Charge("key:k", 1, LIMIT)])).allowed:
                self.allowed.append((begun, time.monotonic()))
            await asyncio.sleep(0.004)

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        results = await asyncio.gather(*self._tasks, return_exceptions=True)
        assert all(isinstance(result, asyncio.CancelledError) for result in results), results

    def most(self) -> int:
        """The most that was surely used in any one window."""
        begins = sorted(begun for begun, _ in self.allowed)
        inside = sorted(self.allowed, key=lambda entry: entry[1])
        ends = [done for _, done in inside]
        return max(
            sum(begun >= first for begun, _ in inside[bisect_left(ends, first) : bisect_right(ends, first + WINDOW)])
            for first in begins
        )


async def test_ten_times_the_limit_through_three_gateways(server: Server) -> None:
    async with gateways(server, window=60) as limiters:
        allowed = await asyncio.gather(*(use(limiter, "key:k", 10 * LIMIT // GATEWAYS) for limiter in limiters))
    assert LIMIT * 0.99 <= sum(allowed) <= LIMIT * TOLERANCE


@pytest.mark.parametrize("skew", [(6, 6, 6), (14, 3, 1)], ids=["even", "skewed"])
@pytest.mark.parametrize("kept", [True, False], ids=["kept", "emptied"])
async def test_no_window_holds_more_through_a_kill(server: Server, skew: tuple[int, ...], *, kept: bool) -> None:
    async with gateways(server) as limiters:
        pressure = Pressure(limiters, skew)
        await asyncio.sleep(WINDOW * 0.4)
        server.signal(signal.SIGKILL)
        await until(lambda: not any(limiter.exact for limiter in limiters), 1.0)
        if not kept:
            server.forget()
        await asyncio.sleep(WINDOW * 0.7)
        away = len(pressure.allowed)
        server.start()
        back = time.monotonic()
        await until(lambda: exact(limiters), BACK_SECONDS)
        took, since = time.monotonic() - back, len(pressure.allowed)
        await asyncio.sleep(WINDOW * 2)
        await pressure.stop()
        once_more = [await use(limiter, "key:new", LIMIT) for limiter in limiters]
    print(f"{pressure.asked} asked, at most {pressure.most()} a window, exact after {took:.2f} s")  # noqa: T201
    assert pressure.asked > 10 * LIMIT * 3
    assert pressure.most() <= LIMIT * TOLERANCE
    assert away > 0
    assert len(pressure.allowed) - since > LIMIT, "the limit is used again"
    assert sum(once_more) == LIMIT


@pytest.mark.parametrize("kept", [True, False], ids=["kept", "emptied"])
async def test_what_was_used_before_and_meanwhile_is_counted_once(server: Server, *, kept: bool) -> None:
    async with gateways(server, window=60) as limiters:
        used = [await use(limiter, "s", times) for limiter, times in zip(limiters, (100, 40, 10), strict=True)]
        for limiter in limiters:
            await use(limiter, "s", 0)
            assert (await limiter.use([Charge("s", 0, LIMIT)])).used == 150
        server.signal(signal.SIGKILL)
        if not kept:
            server.forget()
        meanwhile = [await use(limiter, "s", 80) for limiter in limiters]
        assert meanwhile == [50, 50, 50], "a third each of what was left"
        server.start()
        await until(lambda: exact(limiters), BACK_SECONDS)
        assert server.total("s") == sum(used) + sum(meanwhile) == LIMIT
        assert [(await limiter.use([Charge("s", 1, LIMIT)])).allowed for limiter in limiters] == [False] * GATEWAYS


async def test_a_question_that_is_read_late_is_not_counted(server: Server) -> None:
    """A server that is stopped answers nothing, and reads what it was asked when it goes on."""
    async with gateways(server, window=60) as limiters:
        before = [await use(limiter, "s", 20) for limiter in limiters]
        server.signal(signal.SIGSTOP)
        begun = time.monotonic()
        meanwhile = await asyncio.gather(*(use(limiter, "s", 50) for limiter in limiters))
        assert time.monotonic() - begun < 1.0
        server.signal(signal.SIGCONT)
        await until(lambda: exact(limiters), BACK_SECONDS)
        assert server.total("s") == sum(before) + sum(meanwhile) == 60 + 150


async def test_a_gateway_that_asks_nothing_says_what_it_used(server: Server) -> None:
    """A server that forgot is told at once, or the others would take it for unused."""
    async with gateways(server, window=60) as (quiet, *others):
        await use(quiet, "s", 200)
        with redis.Redis(unix_socket_path=str(server.socket)) as client:
            client.flushall()
        await until(lambda: server.total("s") == 200, 1.0)
        await until(lambda: exact(others), BACK_SECONDS)
        assert await use(others[0], "s", LIMIT) == 100


async def test_the_share_is_told_while_redis_is_away(server: Server) -> None:
    server.signal(signal.SIGKILL)
    async with gateways(server, window=60) as (limiter, *_):
        verdicts = [await limiter.use([Charge("s", 1, 30)]) for _ in range(11)]
    assert [verdict.allowed for verdict in verdicts] == [True] * 10 + [False]
    headers = verdicts[-1].headers()
    assert (headers["X-RateLimit-Limit"], headers["X-RateLimit-Used"]) == ("10", "10")
    assert headers["X-RateLimit-Remaining"] == "0"
    assert 55 <= int(headers["Retry-After"]) <= 63
