"""Both balancers under load: slow clients beside others, reloads, connections to gateways.

VELOZ_FAULT_FULL=1 asks for the promises' figures; else they are shorter.
"""

from __future__ import annotations

import asyncio
import statistics
import sys
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import pytest

from stacks.balancer import Kind
from stacks.programs import Program, find
from tests.faults.scale import Figure
from tests.stacks import slow
from tests.stacks.front import FULL, Front, front, secured, spares_connections, until

pytestmark = pytest.mark.alone

SLOW_CLIENTS: Final = 1000 if FULL else 300
RELOADED: Final = 10_000 if FULL else 1000
COUNTED: Final = 20_000 if FULL else 2000


@pytest.fixture(params=["nginx", "haproxy"])
def program(request: pytest.FixtureRequest) -> Program:
    kind: Kind = request.param
    return find(kind)


async def latencies(made: Front, count: int) -> list[float]:
    """Of `count` orders from each of ten clients, in seconds; all were served."""
    taken: list[float] = []

    async def client() -> None:
        for _ in range(count):
            begun = time.perf_counter()
            status, _ = await made.ask("POST", "/api/order", data=b"x")
            taken.append(time.perf_counter() - begun)
            assert status == 200
            await asyncio.sleep(0.005)

    await asyncio.gather(*(client() for _ in range(10)))
    return taken


def p99(taken: list[float]) -> float:
    return statistics.quantiles(taken, n=100)[98]


@asynccontextmanager
async def crowd(made: Front, directory: Path, count: int, seconds: float) -> AsyncIterator[None]:
    """Slow clients, in a process of their own: what they cost is not the others' to pay."""
    command = ["nice", "-n", "10", sys.executable, slow.__file__, str(made.running.port), str(count), str(seconds)]
    child = await asyncio.create_subprocess_exec(
        *command, str(directory / "authority.crt"), stdout=asyncio.subprocess.PIPE
    )
    assert child.stdout is not None
    try:
        assert await asyncio.wait_for(child.stdout.readline(), 60) == b"ready\n"
        yield
    finally:
        if child.returncode is None:
            child.kill()
        await child.wait()


@pytest.mark.timeout(900 if FULL else 300)
async def test_slow_clients_harm_nobody(program: Program, tmp_path: Path, figure: Figure) -> None:
    """The best of three rounds each: what else the machine does is neither's fault."""
    async with front(program, tmp_path, describe=secured, connections=2048, header_timeout=10.0) as made:
        await latencies(made, 20)  # connections are made, code is warm
        alone, beside = [], []
        for _ in range(3):
            alone.append(p99(await latencies(made, 100)))
            async with crowd(made, tmp_path, SLOW_CLIENTS, 120):
                beside.append(p99(await latencies(made, 100)))
        figure("p99 alone, beside slow ones [ms]", f"{min(alone) * 1000:.1f}, {min(beside) * 1000:.1f}")
        figure("ratio", f"{min(beside) / min(alone):.2f}")
        assert min(beside) <= 2 * min(alone)
        assert ("POST", "/slow") not in made.seen()


async def test_a_slow_head_is_over_after_ten_seconds_though_bytes_come(
    program: Program, tmp_path: Path, figure: Figure
) -> None:
    """With the limit that gateways have."""
    limit = 10.0 if FULL else 2.0
    async with front(program, tmp_path, 1, describe=secured, header_timeout=limit) as made:
        begun = time.monotonic()
        dribbling = slow.Crowd(made.running.port, 1, limit + 3, str(tmp_path / "authority.crt"))
        task = asyncio.create_task(dribbling.client(0))
        await until(lambda: dribbling.cut_off, limit + 3)
        figure("cut off after [s]", f"{time.monotonic() - begun:.1f}")
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        assert time.monotonic() - begun <= limit + 2  # the client notices with its next byte


async def heartbeats(made: Front, streams: int) -> None:
    """So that no stream is given up for being silent."""
    while True:
        for one in made.behind:
            for _ in range(streams):
                one.events.put_nowait(b": alive\n\n")
        await asyncio.sleep(2)


@pytest.mark.timeout(900 if FULL else 300)
async def test_reloads_under_load_fail_no_request_and_old_workers_go_with_streams_open(
    program: Program, tmp_path: Path, figure: Figure
) -> None:
    spares_connections(program)
    patience: dict[str, Any] = {} if FULL else {"shutdown_timeout": 3.0}
    async with front(program, tmp_path, describe=secured, **patience) as made:
        statuses: Counter[int] = Counter()

        async def client(number: int) -> None:
            method = "POST" if number % 2 else "GET"
            headers = {"Connection": "close"} if number % 5 == 0 else {}
            while sum(statuses.values()) < RELOADED or not reloaded:
                status, _ = await made.ask(method, "/api/order", headers=headers)
                statuses[status] += 1

        reloaded = False
        streams = [await made.session.get(made.running.url + "/api/stream") for _ in range(4)]
        gone: list[float] = []
        async with asyncio.TaskGroup() as group:
            for number in range(16):
                group.create_task(client(number))
            beating = group.create_task(heartbeats(made, len(streams)))
            for _ in range(3):
                old = made.running.workers()
                begun = time.monotonic()
                made.running.reload()
                await until(lambda old=old: made.running.workers() - old, 20)
                if not gone:  # those with the streams
                    await until(lambda old=old: not old & made.running.workers(), 60)
                    gone.append(time.monotonic() - begun)
                await asyncio.sleep(0.5)
            reloaded = True
            beating.cancel()
        for stream in streams:
            stream.close()
        figure("requests", sum(statuses.values()))
        figure("old workers gone after [s]", f"{gone[0]:.1f}")
        assert set(statuses) == {200}
        assert statuses[200] >= RELOADED


@pytest.mark.timeout(900 if FULL else 300)
async def test_connections_to_gateways_are_kept(program: Program, tmp_path: Path, figure: Figure) -> None:
    async with front(program, tmp_path, 3, describe=secured) as made:

        async def client() -> None:
            for _ in range(COUNTED // 20):
                status, _ = await made.ask("POST", "/api/order", data=b"x")
                assert status == 200

        await asyncio.gather(*(client() for _ in range(20)))
        connections = sum(len(one.connections) for one in made.behind)
        figure("requests, connections", f"{COUNTED}, {connections}")
        assert made.seen()["POST", "/api/order"] == COUNTED
        assert connections <= made.running.model.keepalive
