"""What a balancer asks again, and of whom: the real ones, before servers that count what reaches them."""

from __future__ import annotations

import asyncio
import time
from contextlib import AsyncExitStack, suppress
from pathlib import Path

import aiohttp
import pytest

from stacks.balancer import Kind
from stacks.programs import Program, find
from tests.stacks.backends import backend, refusing
from tests.stacks.front import Front, before, description, front, raw, until

CHANGING = ["POST", "PATCH", "PUT", "DELETE"]
KEPT = 20


@pytest.fixture(params=["nginx", "haproxy"])
def program(request: pytest.FixtureRequest) -> Program:
    kind: Kind = request.param
    return find(kind)


@pytest.mark.parametrize("method", CHANGING)
async def test_what_changes_something_is_unknown_when_its_gateway_dies_and_not_sent_again(
    program: Program, tmp_path: Path, method: str
) -> None:
    async with front(program, tmp_path) as made:
        for number in range(1, 4):
            try:
                status, said = await made.ask(method, "/die", data=b"order")
                assert (status, said["error"], said["ok"]) == (504, "unknown", False)
            except aiohttp.ServerDisconnectedError:
                # From the second request of a connection on, older ones say it by closing it.
                assert number > 1
                assert program.kind == "haproxy"
                assert program.version < (2, 8)
            assert made.seen()[method, "/die"] == number


@pytest.mark.parametrize("method", CHANGING)
async def test_what_changes_something_is_not_sent_again_though_connections_to_the_only_gateway_are_kept(
    program: Program, tmp_path: Path, method: str
) -> None:
    async with front(program, tmp_path, 1) as made:
        await asyncio.gather(*(made.ask("GET", "/") for _ in range(KEPT)))
        assert len(made.behind[0].connections) > 1
        head = f"{method} /die HTTP/1.1\r\nHost: x\r\nConnection: close\r\nContent-Length: 5\r\n\r\n"
        status, _ = await raw(made.running.port, head + "order")  # aiohttp's client would send some again by itself
        assert status in ({504} if program.kind == "nginx" else {0, 504})  # 0: closed, HAProxy's answer on kept ones
        assert made.seen()[method, "/die"] == 1


@pytest.mark.parametrize("method", CHANGING)
async def test_what_changes_something_is_unknown_when_its_gateway_hangs_and_not_sent_again(
    program: Program, tmp_path: Path, method: str
) -> None:
    async with front(program, tmp_path, order_timeout=0.1) as made:
        for one in made.behind:
            one.hangs = True
        status, said = await made.ask(method, "/hang", data=b"order")
        assert (status, said["error"]) == (504, "unknown")
        assert made.seen()[method, "/hang"] == 1


async def test_a_post_that_a_gateway_refuses_with_503_is_not_sent_again(program: Program, tmp_path: Path) -> None:
    async with front(program, tmp_path) as made:
        for one in made.behind:
            one.status = 503
        assert (await made.ask("POST", "/api/order"))[0] == 503
        assert made.seen()["POST", "/api/order"] == 1


async def test_a_gateway_that_answers_503_keeps_its_place(program: Program, tmp_path: Path) -> None:
    """Without Redis every gateway answers 503 to sessions; orders by key must go on."""
    async with front(program, tmp_path) as made:
        for one in made.behind:
            one.status = 503
        for _ in range(4):
            assert (await made.ask("GET", "/api/account"))[0] == 503
        for one in made.behind:
            one.status = 200
        assert {(await made.ask("POST", "/api/order"))[1]["name"] for _ in range(4)} == {"gateway-1", "gateway-2"}


@pytest.mark.parametrize("method", CHANGING)
async def test_what_a_gateway_refuses_to_accept_goes_to_the_next(program: Program, tmp_path: Path, method: str) -> None:
    with refusing() as port:
        async with backend("alive") as alive, before(program, description([port, alive.port]), tmp_path) as made:
            answers = [await made.ask(method, "/api/order", data=b"order") for _ in range(10)]
            assert [(status, said["name"], said["body"]) for status, said in answers] == [(200, "alive", 5)] * 10
            assert len(alive.seen) == 10


@pytest.mark.parametrize("method", CHANGING)
async def test_what_was_sent_to_nobody_is_safe_to_try_again(program: Program, tmp_path: Path, method: str) -> None:
    with refusing() as one, refusing() as other:
        async with before(program, description([one, other]), tmp_path) as made:
            for _ in range(3):
                async with made.session.request(method, made.running.url + "/api/order") as answer:
                    assert answer.status == 503
                    assert answer.headers["Retry-After"] == "1"
                    assert (await answer.json())["error"] == "execution_unavailable"


@pytest.mark.parametrize("path", ["/api/account", "/api/stream"])
async def test_a_get_that_meets_a_gateway_that_leaves_is_answered_though_all_others_failed_just_now(
    program: Program, tmp_path: Path, path: str
) -> None:
    """nginx leaves alone for a while who failed: a rolling update comes to the last before the first is asked again."""
    async with front(program, tmp_path, 3) as made:
        await _all_but_one_failed(made)
        next(one for one in made.behind if not one.seen).leaving = True
        for one in made.behind:
            one.events.put_nowait(b"")
        async with made.session.get(made.running.url + path) as answer:
            assert answer.status == 200


async def test_a_get_that_waited_in_vain_is_not_asked_round_after_round(program: Program, tmp_path: Path) -> None:
    async with front(program, tmp_path, 3, order_timeout=0.1) as made:
        await _all_but_one_failed(made)
        for one in made.behind:
            one.hangs = True
        began = time.monotonic()
        assert (await made.ask("GET", "/hang"))[0] == 504
        assert time.monotonic() - began < 2.5 * made.running.model.answer_timeout


@pytest.mark.parametrize("position", range(5))
@pytest.mark.parametrize("method", ["GET", "POST"])
async def test_nginx_asks_each_when_all_have_failed(tmp_path: Path, method: str, position: int) -> None:
    """One sound gateway that failed just now is found, wherever it stands among those that refuse connections."""
    async with AsyncExitStack() as stack:
        sound = await stack.enter_async_context(backend("sound"))
        ports = [stack.enter_context(refusing()) for _ in range(4)]
        ports.insert(position, sound.port)
        made = await stack.enter_async_context(before(find("nginx"), description(ports), tmp_path))
        while not sound.seen:
            await made.ask("POST", "/die")
        for _ in range(3):
            assert (await made.ask(method, "/api/account"))[0] == 200


async def test_nginx_keeps_no_connection_of_the_last_round(tmp_path: Path) -> None:
    """It would keep them for longer than a gateway that leaves waits for."""
    async with front(find("nginx"), tmp_path) as made:
        while not all(one.seen for one in made.behind):
            await made.ask("POST", "/die")
        used = [one.connections for one in made.behind]
        for connections in used:
            connections.clear()
        assert (await made.ask("GET", "/api/account"))[0] == 200
        assert any(used)
        await until(lambda: all(one.is_closing() for connections in used for one in connections), seconds=2)


async def _all_but_one_failed(made: Front) -> None:
    while sum(not one.seen for one in made.behind) > 1:
        with suppress(aiohttp.ServerDisconnectedError):
            await made.ask("POST", "/die")
