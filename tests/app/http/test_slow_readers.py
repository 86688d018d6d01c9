"""Readers that take nothing: they harm nobody, cost little, and are given up in time."""

from __future__ import annotations

import asyncio
import os
import resource
import socket
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager
from pathlib import Path

import aiohttp
import pytest
from prometheus_client.parser import text_string_to_metric_families

from tests.app.http.conftest import until
from tests.faults.gateway import Gateway, environment, running

LONG = bool(os.environ.get("VELOZ_FAULT_KILLS"))
BACKLOG = 800  # orders: three events of some 400 bytes each, more than a connection's buffers hold
RSS_A_READER = 1 << 20


@contextmanager
def open_files(count: int) -> Iterator[None]:
    """Allow so many; what is started inside inherits it."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < count:
        pytest.skip(f"{hard} files may be open, {count} are needed")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, count), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


class Healthy:
    """A reader that keeps up: when each event came, and each heartbeat."""

    def __init__(self) -> None:
        self.ids: list[int] = []
        self.came: dict[int, float] = {}
        self.beats: list[float] = []

    async def read(self, gateway: Gateway) -> None:
        timeout = aiohttp.ClientTimeout(total=None)
        async with (
            aiohttp.ClientSession(headers=gateway.headers, timeout=timeout) as session,
            session.get(f"{gateway.url}/api/stream") as answer,
        ):
            async for line in answer.content:
                if line.startswith(b"id: "):
                    self.ids.append(int(line[4:]))
                    self.came[self.ids[-1]] = time.monotonic()
                elif line.startswith(b": "):
                    self.beats.append(time.monotonic())

    @property
    def longest_silence(self) -> float:
        return max(after - before for before, after in zip(self.beats, self.beats[1:], strict=False))


@asynccontextmanager
async def reading(gateway: Gateway) -> AsyncIterator[Healthy]:
    reader = Healthy()
    task = asyncio.create_task(reader.read(gateway))
    try:
        await until(lambda: _true(reader.beats), 10)
        yield reader
        assert not task.done()
    finally:
        task.cancel()
        await asyncio.wait({task})


async def _true(value: object) -> bool:
    return bool(value)


def stalled(gateway: Gateway, stack: ExitStack) -> socket.socket:
    """A client that asks for the whole log and reads none of it."""
    one = stack.enter_context(socket.socket())
    one.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    one.connect(("127.0.0.1", gateway.port))
    one.sendall(f"GET /api/stream?last_id=0 HTTP/1.1\r\nHost: x\r\nX-API-Key: {gateway.key}\r\n\r\n".encode())
    return one


async def order(session: aiohttp.ClientSession, gateway: Gateway, name: str) -> int:
    """Place one; returns its event's number."""
    body = {"client_order_id": name, "side": "BUY", "symbol": "BTCUSDT", "qty": "0.001", "price": "30000"}
    async with session.post(f"{gateway.url}/api/order", json=body) as answer:
        found = await answer.json()
        assert answer.status == 200, found
        return int(found["order"]["seq"] if "order" in found else found["seq"])


async def gauge(session: aiohttp.ClientSession, gateway: Gateway, name: str) -> float:
    async with session.get(f"{gateway.url}/metrics") as answer:
        text = await answer.text()
    return next(s.value for f in text_string_to_metric_families(text) for s in f.samples if s.name == name)


def resident(pid: int) -> int:
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * resource.getpagesize()


FORMS = {
    "short": (
        100,
        0.5,
        3.0,
        2.0,
        9.0,
    ),  # readers, heartbeat and stall as set; longest silence and life of a stalled one
    "default": (1000, 8.0, 30.0, 15.0, 45.0),
}


@pytest.mark.timeout(240)
@pytest.mark.parametrize("form", ["default" if LONG else "short"])
async def test_stalled_readers_harm_nobody(
    database: str, redis_url: str, engine_binary: Path, tmp_path: Path, form: str
) -> None:
    count, heartbeat, stall, silence, life = FORMS[form]
    settings = {"STREAMS_PER_KEY": str(count + 10), "STREAM_HEARTBEAT": str(heartbeat), "STREAM_STALL": str(stall)}
    environ = environment(database, redis_url, engine_binary, **{f"VELOZ_{name}": v for name, v in settings.items()})
    with open_files(2 * count + 1000), ExitStack() as stack:
        async with (
            running(tmp_path, environ) as gateway,
            aiohttp.ClientSession(headers=gateway.headers) as session,
            reading(gateway) as healthy,
        ):
            gate = asyncio.Semaphore(20)

            async def place(number: int) -> None:
                async with gate:
                    await order(session, gateway, f"before{number}")

            await asyncio.gather(*[place(number) for number in range(BACKLOG)])
            before = resident(gateway.pid)
            clients = []
            for _ in range(count):
                clients.append(stalled(gateway, stack))
                await asyncio.sleep(0)

            async def all_open() -> bool:
                return await gauge(session, gateway, "veloz_streams") == count + 1

            await until(all_open, 30)
            begun = time.monotonic()
            slowest, deliveries, grown = 0.0, [], 0
            while time.monotonic() - begun < stall * 0.8:
                start = time.monotonic()
                seq = await order(session, gateway, f"after{start}")
                answered = time.monotonic()
                slowest = max(slowest, answered - start)
                await until(lambda seq=seq: _true(seq in healthy.came), 5)  # type: ignore[misc]
                deliveries.append(healthy.came[seq] - answered)
                grown = max(grown, resident(gateway.pid) - before)
                await asyncio.sleep(0.02)
            assert await gauge(session, gateway, "veloz_streams") > 1, "they must have stalled"

            async def all_gone() -> bool:
                return await gauge(session, gateway, "veloz_streams") == 1

            await until(all_gone, life)
            lived = time.monotonic() - begun
            print(  # noqa: T201
                f"{count} stalled: order ≤ {slowest * 1000:.0f} ms, event ≤ {max(deliveries) * 1000:.0f} ms after it, "
                f"{grown / count / 1024:.0f} KiB a reader, heartbeats ≤ {healthy.longest_silence:.1f} s, "
                f"gone after {lived:.1f} s"
            )
            assert lived < life
            assert grown / count < RSS_A_READER
            assert slowest < 1
            assert max(deliveries) < 1
            assert healthy.longest_silence < silence
            assert healthy.ids == list(range(healthy.ids[0], healthy.ids[-1] + 1))
            assert await order(session, gateway, "last") > healthy.ids[0]
