"""Streams from outside: heartbeats, resuming, readers that do not read, keys that are revoked."""

import asyncio
import socket
import time
from pathlib import Path

from tests.e2e.api import Api
from tests.faults.gateway import Gateway, environment, running
from tests.faults.stream import Follower
from tests.faults.waiting import until

REVOKED_SECONDS = 5.0
STALL_SECONDS = 2
GROWTH_KIB = 32 * 1024
READERS = 20


async def _follow(gateway: Gateway, last_id: str = "0") -> tuple[Follower, asyncio.Task[None]]:
    follower = Follower(gateway.url, gateway.headers, last_id=last_id)
    task = asyncio.create_task(follower.run())

    async def connected() -> bool:
        return follower.connections > 0

    await until(connected, seconds=5)
    return follower, task


async def test_a_quiet_stream_has_heartbeats_and_says_when_to_come_back(gateway: Gateway) -> None:
    follower, task = await _follow(gateway)

    async def heard() -> bool:
        return follower.comments >= 2 and follower.retry is not None

    await until(heard, seconds=5)
    task.cancel()
    assert follower.retry is not None
    assert 0 < follower.retry <= 5000


async def test_a_stream_goes_on_after_the_last_id(gateway: Gateway, api: Api) -> None:
    for number in range(3):
        assert (await api.order(f"stream-{number}")).status == 200
    first, task = await _follow(gateway)

    async def seen() -> bool:
        return any(event.data.get("client_order_id") == "stream-2" for event in first.events)

    await until(seen, seconds=5)
    task.cancel()
    ids = [int(event.id or 0) for event in first.events]
    assert ids == list(range(1, len(ids) + 1))
    second, task = await _follow(gateway, str(ids[2]))
    await second.reached(ids[-1])
    task.cancel()
    assert second.events == first.events[3:]


async def test_an_id_that_never_was_gives_reset(gateway: Gateway) -> None:
    follower, task = await _follow(gateway, "1000000000")

    async def reset() -> bool:
        return bool(follower.events) and follower.events[0].type == "reset"

    await until(reset, seconds=5)
    task.cancel()


async def test_readers_that_do_not_read_cost_little_and_are_cut_off(
    database: str, redis_url: str, engine_binary: Path, tmp_path: Path
) -> None:
    environ = environment(
        database, redis_url, engine_binary, VELOZ_STREAM_STALL=str(STALL_SECONDS), VELOZ_SIM_RATE="500"
    )
    async with running(tmp_path, environ) as gateway, Api(gateway) as api:
        await _orders(api, "warm")
        before = _resident(gateway.pid)
        stalled = [await _stalled(gateway) for _ in range(READERS)]

        async def all_served() -> bool:
            return _served(gateway, stalled) == READERS

        await until(all_served, seconds=2)
        started = time.monotonic()
        slowest = await _orders(api, "load")
        assert _resident(gateway.pid) - before < GROWTH_KIB
        assert slowest < 2.0

        async def cut_off() -> bool:
            return _served(gateway, stalled) == 0

        await until(cut_off, seconds=STALL_SECONDS + 15)
        print(f"{READERS} readers cut off after {time.monotonic() - started:.1f} s")  # noqa: T201
        for reader in stalled:
            reader.close()


async def _orders(api: Api, name: str) -> float:
    """Orders enough to fill any socket's buffers; returns the seconds of the slowest."""
    slowest = 0.0
    for number in range(150):
        started = time.monotonic()
        assert (await api.order(f"{name}-{number}")).status == 200
        slowest = max(slowest, time.monotonic() - started)
    return slowest


async def _stalled(gateway: Gateway) -> socket.socket:
    """A stream whose client never reads, with the smallest buffer the kernel gives."""
    reader = socket.socket()
    reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    reader.setblocking(False)
    loop = asyncio.get_running_loop()
    await loop.sock_connect(reader, ("127.0.0.1", gateway.port))
    request = f"GET /api/stream?last_id=0 HTTP/1.1\r\nHost: x\r\nX-API-Key: {gateway.key}\r\n\r\n"
    await loop.sock_sendall(reader, request.encode())
    return reader


def _served(gateway: Gateway, readers: list[socket.socket]) -> int:
    """How many of the connections the gateway still holds, by the kernel's own table (ESTABLISHED is 01)."""
    ports = {reader.getsockname()[1] for reader in readers}
    held = 0
    for line in Path("/proc/net/tcp").read_text().splitlines()[1:]:
        local, remote, state = line.split()[1:4]
        ends = (int(local.split(":")[1], 16), int(remote.split(":")[1], 16))
        held += ends[0] == gateway.port and ends[1] in ports and state == "01"
    return held


def _resident(pid: int) -> int:
    """Resident memory in KiB."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(status.split("VmRSS:")[1].split()[0])


async def test_a_revoked_key_and_its_streams_are_dead_in_five_seconds(gateway: Gateway, api: Api) -> None:
    made = (await api.post("/api/auth/keys", {"name": "to be revoked", "role": "trader"})).json
    follower = Follower(gateway.url, {"X-API-Key": made["api_key"]})
    task = asyncio.create_task(follower.run())
    async with Api(gateway, made["api_key"]) as other:
        await until(lambda: _answers(other, 200), seconds=2)

        async def connected() -> bool:
            return follower.connections > 0

        await until(connected, seconds=5)
        answer = await api.ask("DELETE", f"/api/auth/keys?key_id={made['key_id']}")
        assert answer.status == 200
        revoked = time.monotonic()
        await until(lambda: _answers(other, 401), seconds=REVOKED_SECONDS)

        async def ended() -> bool:
            return follower.refusals > 0  # the stream ended, and the key opens no other

        await until(ended, seconds=REVOKED_SECONDS - (time.monotonic() - revoked))
        assert follower.connections == 1
    task.cancel()


async def _answers(api: Api, status: int) -> bool:
    return (await api.get("/api/account")).status == status
