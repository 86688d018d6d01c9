"""Both balancers, real ones, before servers that count what reaches them."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import socket
import time
from collections import Counter
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from app.middleware import MAX_HEAD
from app.operation import MAX_BODY
from stacks.balancer import Kind
from stacks.programs import Program, find
from tests.stacks.backends import backend, balanced, free_port, process
from tests.stacks.front import Front, before, description, front, raw, spares_connections, until


@pytest.fixture(params=["nginx", "haproxy"])
def program(request: pytest.FixtureRequest) -> Program:
    kind: Kind = request.param
    return find(kind)


async def test_thousands_of_requests_need_no_more_connections_than_the_pool_has(
    program: Program, tmp_path: Path
) -> None:
    async with front(program, tmp_path, 3) as made:

        async def client() -> None:
            for _ in range(150):
                status, _ = await made.ask("POST", "/api/order", data=b"x")
                assert status == 200

        await asyncio.gather(*(client() for _ in range(20)))
        assert made.seen()["POST", "/api/order"] == 3000
        assert sum(len(one.connections) for one in made.behind) <= 64
        assert min(len(one.seen) for one in made.behind) >= 600  # the least busy one is the next one's


async def test_a_hung_gateway_is_out_of_the_rotation_in_three_seconds_and_no_post_was_sent_twice(
    program: Program, tmp_path: Path
) -> None:
    port = free_port()
    with process(port) as hung:
        async with backend("alive") as alive, before(program, description([port, alive.port]), tmp_path) as made:
            served = {(await made.ask("POST", f"/warm/{n}"))[1]["name"] for n in range(4)}
            assert served == {"alive", "process"}
            hung.send_signal(signal.SIGSTOP)
            stopped = time.monotonic()
            asked: list[tuple[float, asyncio.Task[tuple[int, Any]]]] = []
            while (now := time.monotonic() - stopped) < 3.6:
                asked.append((now, asyncio.create_task(made.ask("POST", f"/order/{len(asked)}"))))
                await asyncio.sleep(0.02)
            statuses = [(at, (await task)[0]) for at, task in asked]
            assert {status for _, status in statuses} == {200, 504}
            assert max(at for at, status in statuses if status == 504) <= 3
            assert (
                sum(status == 504 for _, status in statuses) < len(statuses) / 4
            )  # the busier one, it is avoided before
            hung.send_signal(signal.SIGCONT)
            async with made.session.get(f"http://127.0.0.1:{port}/seen") as answer:
                seen = [path for method, path in await answer.json() if method == "POST"]
            every = Counter(seen + [path for _, path in alive.seen])
            assert max(every.values()) == 1


async def test_a_forged_address_is_not_passed_on(program: Program, tmp_path: Path) -> None:
    forged = {"X-Forwarded-For": "203.0.113.9", "X-Real-IP": "203.0.113.9", "Forwarded": "for=203.0.113.9"}
    async with front(program, tmp_path) as made:
        for headers in (forged, forged | {"X-Forwarded-For": "203.0.113.9, 127.0.0.1"}, {}):
            _, said = await made.ask("GET", "/", headers=headers)
            assert (said["forwarded_for"], said["others"]) == (["127.0.0.1"], [])


async def test_behind_a_proxy_that_it_knows_the_last_address_is_the_clients(program: Program, tmp_path: Path) -> None:
    async with front(program, tmp_path, proxies=("127.0.0.0/8",)) as made:
        _, said = await made.ask("GET", "/", headers={"X-Forwarded-For": "203.0.113.9, 198.51.100.7"})
        assert said["forwarded_for"] == ["198.51.100.7"]
        _, said = await made.ask("GET", "/", headers={"X-Forwarded-For": "nobody"})
        assert said["forwarded_for"] == ["127.0.0.1"]


@pytest.mark.parametrize(
    "path",
    [
        "/internal",
        "/internal/command",
        "//internal/command",
        "/./internal/command",
        "/api/../internal/command",
        "/%69nternal/command",
        "/internal%2Fcommand",
        "/%2e/internal/command",
        "/internal/command?x=1",
        "/metrics",
        "/metrics/",
        "//metrics",
        "/%6Detrics",
    ],
)
async def test_what_gateways_say_to_each_other_does_not_pass(program: Program, tmp_path: Path, path: str) -> None:
    async with front(program, tmp_path, 1) as made:
        status, said = await raw(
            made.running.port, f"POST {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 0\r\n\r\n"
        )
        assert (status, json.loads(said)["error"]) == (404, "not_found")
        assert made.behind[0].seen == []


async def test_large_bodies_and_heads_are_refused_in_the_envelope(program: Program, tmp_path: Path) -> None:
    async with front(program, tmp_path) as made:
        assert await made.ask("POST", "/x", data=b"x" * MAX_BODY) == (200, answered(made, MAX_BODY))
        status, said = await made.ask("POST", "/x", data=b"x" * (MAX_BODY + 1))
        assert (status, said["error"]) == (413, "payload_too_large")
        status, text = await raw(made.running.port, _get("/x", {"X-One": "x" * (MAX_HEAD + 200)}))
        assert (status, json.loads(text)["error"]) == (431, "headers_too_large")
        # HAProxy's parser refuses what does not fit its buffer, and what is not HTTP, with a page of its own.
        many = {f"X-{n}": "x" * 1000 for n in range(3 * MAX_HEAD // 1000)}
        for sent, expected in ((_get("/x", many), 431), ("nonsense\r\n\r\n", 400)):
            status, text = await raw(made.running.port, sent)
            if program.kind == "nginx":
                assert (status, json.loads(text)["ok"]) == (expected, False)
            else:
                assert status == 400
        assert made.seen() == {("POST", "/x"): 1}


def answered(made: Front, body: int) -> dict[str, Any]:
    name = next(one.name for one in made.behind if one.seen)
    return {"name": name, "forwarded_for": ["127.0.0.1"], "others": [], "scheme": ["http"], "body": body}


def _get(path: str, headers: dict[str, str]) -> str:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    return f"GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{lines}\r\n"


@pytest.mark.parametrize(
    "sent", ["GET / HTTP/1.1\r\nHost:", "POST /x HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\n\r\nslow"]
)
async def test_a_client_that_does_not_finish_its_request_is_cut_off(
    program: Program, tmp_path: Path, sent: str
) -> None:
    async with front(program, tmp_path, 1, header_timeout=0.5) as made:
        status, _ = await raw(made.running.port, sent, 2)
        assert status in (0, 408)
        assert made.behind[0].seen == []


async def test_events_arrive_one_by_one_and_a_quiet_stream_lives_on(program: Program, tmp_path: Path) -> None:
    """Three times the heartbeat is a stream's patience; other answers have less."""
    timing: dict[str, Any] = {"order_timeout": 0.1, "stream_heartbeat": 0.8, "stream_stall": 10.0}
    async with (
        front(program, tmp_path, 1, **timing) as made,
        made.session.get(made.running.url + "/api/stream") as stream,
    ):
        for event in (b"id: 1\n\n", b"id: 2\n\n"):
            made.behind[0].events.put_nowait(event)
            assert await asyncio.wait_for(stream.content.readuntil(b"\n\n"), 5) == event
            await asyncio.sleep(1.1)  # above the 0.9 s for other answers
        with pytest.raises(aiohttp.ClientPayloadError):
            await asyncio.wait_for(stream.content.readuntil(b"\n\n"), 8)


async def test_a_reload_fails_no_request_and_ends_the_old_worker_though_a_stream_is_open(
    program: Program, tmp_path: Path
) -> None:
    spares_connections(program)
    async with front(program, tmp_path, shutdown_timeout=1.0) as made:
        ended = False
        statuses: Counter[int] = Counter()

        async def client(number: int) -> None:
            while not ended:
                status, _ = await made.ask("POST" if number % 2 else "GET", "/api/order")
                statuses[status] += 1

        stream = await made.session.get(made.running.url + "/api/stream")
        async with asyncio.TaskGroup() as group:
            for number in range(16):
                group.create_task(client(number))
            for _ in range(3):
                old = made.running.workers()
                made.running.reload()
                await until(lambda old=old: not old & made.running.workers(), 5)
                assert made.running.workers()
            ended = True
        stream.close()
        assert set(statuses) == {200}
        assert statuses[200] > 500


def test_it_listens_where_it_was_told_to_and_writes_nowhere_else(program: Program, tmp_path: Path) -> None:
    with balanced(program, description([free_port()]), tmp_path) as running:
        pid = running.process.pid
        children = running.workers()
        port = running.port
        assert children
        for number in (pid, *children):
            written = [name for name in open_for_writing(number) if not name.startswith("/dev/")]
            assert all(Path(name).is_relative_to(tmp_path) for name in written), written
        with pytest.raises(ConnectionRefusedError):
            socket.create_connection(("127.0.0.2", port), timeout=1)


def open_for_writing(pid: int) -> list[str]:
    """Files only."""
    found = []
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            name = str(link.readlink()).removesuffix(" (deleted)")
            info = Path(f"/proc/{pid}/fdinfo", link.name).read_text()
        except FileNotFoundError:  # closed meanwhile
            continue
        flags = int(info.split("flags:")[1].split()[0], 8)
        if name.startswith("/") and flags & os.O_ACCMODE != os.O_RDONLY:
            found.append(name)
    return found
