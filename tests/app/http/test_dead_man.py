"""Dead man's switch and cancel on disconnect: what a key left open is cancelled when the key falls silent, and nothing else."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from itertools import count
from pathlib import Path

import aiohttp
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from tests.app.core.test_database import Hole
from tests.app.http.conftest import SHARED, Gateway, MakeGateway, Reply, is_ready, until
from tests.faults import gateway as processes

pytestmark = SHARED
_IDS = count(1)

SWITCH = "/api/dead_man_switch"
MARGIN = 1.0  # seconds after its time within which a switch has cancelled


class Trader:
    """A key of its own on the shared gateway's account, and its orders."""

    def __init__(self, gateway: Gateway, key: str) -> None:
        self.gateway = gateway
        self.headers = {"X-API-Key": key}

    @classmethod
    async def new(cls, gateway: Gateway, role: str = "trader") -> Trader:
        return cls(gateway, await gateway.make_key(role))

    async def order(self) -> str:
        name = f"dead-man-{next(_IDS)}"
        body = {"side": "BUY", "symbol": "BTCUSDT", "qty": "0.001", "price": "20000", "client_order_id": name}
        made = await self.gateway.post("/api/order", body, headers=self.headers)
        assert made.json["status"] == "ACCEPTED", made.text
        return name

    async def state(self, name: str) -> tuple[str, str]:
        found = (await self.gateway.get(f"/api/order_state?client_order_id={name}", headers=self.headers)).json
        return found["status"], found["reason"]

    async def cancelled(self, *names: str, seconds: float) -> float:
        """Wait until all are; when that was seen. Fails when it takes longer."""

        async def none_open() -> bool:
            return all([(await self.state(name))[0] == "CANCELLED" for name in names])

        await until(none_open, seconds)
        return time.monotonic()

    async def arm(self, seconds: object) -> Reply:
        return await self.gateway.post(SWITCH, {"timeout_seconds": seconds}, headers=self.headers)

    async def switch(self, kind: str) -> dict[str, object]:
        items = (await self.gateway.get(SWITCH, headers=self.headers)).json["items"]
        assert [item["kind"] for item in items] == ["timer", "stream"]
        return next(item for item in items if item["kind"] == kind)

    @asynccontextmanager
    async def stream(self, seconds: float) -> AsyncIterator[aiohttp.ClientResponse]:
        """Open until the block ends; then its connection is closed."""
        async with aiohttp.ClientSession() as session:
            url = f"{self.gateway.base}/api/stream?cancel_on_disconnect={seconds}"
            async with session.get(url, headers=self.headers) as response:
                assert response.status == 200, await response.text()
                await response.content.readline()
                yield response


async def test_a_silent_keys_orders_are_cancelled_in_time_and_no_others(shared: Gateway) -> None:
    silent, other = await Trader.new(shared), await Trader.new(shared)
    names, kept = [await silent.order() for _ in range(3)], await other.order()
    begun = time.monotonic()
    armed = await silent.arm("1.25")
    assert armed.json.items() >= {"ok": True, "armed": True, "timeout_seconds": 1.25, "kind": "timer"}.items()
    assert abs(armed.json["expires_at"] - time.time_ns() - 1.25e9) < 0.5e9
    assert (await silent.state(names[0]))[0] == "ACCEPTED"
    seen = await silent.cancelled(*names, seconds=1.25 + MARGIN)
    assert seen - begun >= 1.25
    assert {await silent.state(name) for name in names} == {("CANCELLED", "DEAD_MAN")}
    assert (await other.state(kept))[0] == "ACCEPTED"

    async def noted() -> bool:
        return not (await silent.switch("timer"))["armed"]

    await until(noted, 2)
    fired = await silent.switch("timer")
    assert fired["fired_at"] is not None
    assert fired["expires_in_seconds"] is None
    trail = (await shared.get("/api/admin/audit?action=switch.fired")).json["items"]
    assert trail[0]["detail"].items() >= {"kind": "timer", "account": "main", "cancelled": 3}.items()
    assert 'veloz_switches_fired_total{kind="timer"}' in (await shared.get("/metrics")).text
    later = await silent.order()
    await asyncio.sleep(0.5)
    assert (await silent.state(later))[0] == "ACCEPTED", "it fires once"
    await silent.arm(1)
    await silent.cancelled(later, seconds=1 + MARGIN)


async def test_who_refreshes_keeps_its_orders_until_it_stops(shared: Gateway) -> None:
    trader = await Trader.new(shared)
    name = await trader.order()
    for _ in range(6):
        begun = time.monotonic()
        await trader.arm(1)
        await asyncio.sleep(0.4)
        assert (await trader.state(name))[0] == "ACCEPTED"
    await trader.cancelled(name, seconds=begun + 1 + MARGIN - time.monotonic())


async def test_what_is_disarmed_does_not_fire(shared: Gateway) -> None:
    zero, deleted = await Trader.new(shared), await Trader.new(shared)
    names = [await zero.order(), await deleted.order()]
    for trader in (zero, deleted):
        await trader.arm(1)
    answer = (await zero.arm(0)).json
    assert answer == {"ok": True, "kind": "timer", "armed": False, "timeout_seconds": 0, "expires_at": None}
    assert (await shared.call("DELETE", SWITCH, headers=deleted.headers)).json == {"ok": True}
    await asyncio.sleep(1.7)
    assert [(await t.state(n))[0] for t, n in zip((zero, deleted), names, strict=True)] == ["ACCEPTED"] * 2
    empty = {"armed": False, "timeout_seconds": None, "expires_in_seconds": None, "fired_at": None}
    assert (await zero.switch("timer")) == {"kind": "timer", **empty}


@pytest.mark.parametrize("seconds", ["0.99", 0.5, -1, "1e3", 86401, "x", None, "", [5]])
async def test_a_time_out_that_is_none_is_refused(shared: Gateway, seconds: object) -> None:
    (await (Trader(shared, shared.key)).arm(seconds)).refused(400, "bad_params")
    if isinstance(seconds, str | float | int):
        answer = await shared.get("/api/stream", params={"cancel_on_disconnect": str(seconds)})
        answer.refused(400, "bad_params")


async def test_a_viewer_has_no_switch(shared: Gateway) -> None:
    viewer = await Trader.new(shared, "viewer")
    (await viewer.arm(5)).refused(403, "forbidden")
    for method in ("GET", "DELETE"):
        (await shared.call(method, SWITCH, headers=viewer.headers)).refused(403, "forbidden")
    (await shared.get("/api/stream?cancel_on_disconnect=5", headers=viewer.headers)).refused(403, "forbidden")
    (await shared.get(SWITCH, headers={})).refused(401, "authentication_required")


async def test_a_stream_keeps_the_orders_and_its_end_cancels_them(shared: Gateway) -> None:
    trader, other = await Trader.new(shared), await Trader.new(shared)
    name, kept = await trader.order(), await other.order()
    async with trader.stream(1):
        await asyncio.sleep(2)
        assert (await trader.state(name))[0] == "ACCEPTED"
        state = await trader.switch("stream")
        assert state["armed"]
        assert state["timeout_seconds"] == 1
    dropped = time.monotonic()
    seen = await trader.cancelled(name, seconds=1 + MARGIN)
    assert seen - dropped >= 1
    assert await trader.state(name) == ("CANCELLED", "DISCONNECTED")
    assert (await other.state(kept))[0] == "ACCEPTED"


async def test_who_comes_back_in_time_keeps_its_orders(shared: Gateway) -> None:
    trader = await Trader.new(shared)
    name = await trader.order()
    for _ in range(4):
        async with trader.stream(1.5):
            await asyncio.sleep(0.2)
        await asyncio.sleep(0.8)
    async with trader.stream(1.5):
        await asyncio.sleep(1.7)
        assert (await trader.state(name))[0] == "ACCEPTED"


async def test_one_open_stream_of_several_is_enough_and_disarming_ends_it(shared: Gateway) -> None:
    trader = await Trader.new(shared)
    name = await trader.order()
    async with trader.stream(1):
        async with trader.stream(1):
            pass
        await asyncio.sleep(2)
        assert (await trader.state(name))[0] == "ACCEPTED"
        async with trader.stream(0):
            assert not (await trader.switch("stream"))["armed"]
        await asyncio.sleep(0.6)
        assert not (await trader.switch("stream"))["armed"], "a refresh does not arm what was disarmed"
    await asyncio.sleep(1.7)
    assert (await trader.state(name))[0] == "ACCEPTED"


async def test_a_quiet_streams_end_is_noticed_though_nothing_is_written(make_gateway: MakeGateway) -> None:
    async with make_gateway(SIM_RATE="0.001", STREAM_HEARTBEAT="10") as gateway:
        trader = await Trader.new(gateway)
        name = await trader.order()
        async with trader.stream(1):
            await asyncio.sleep(1.2)
        dropped = time.monotonic()
        assert await trader.cancelled(name, seconds=1 + MARGIN) - dropped >= 1


async def test_without_authentication_the_switch_is_everybodys(make_gateway: MakeGateway) -> None:
    async with make_gateway(AUTH="false", API_KEY="") as gateway:
        nobody = Trader(gateway, "")
        nobody.headers = {}
        name = await nobody.order()
        await nobody.arm(1)
        await nobody.cancelled(name, seconds=1 + MARGIN)


async def test_many_orders_are_cancelled_together(shared: Gateway) -> None:
    trader = await Trader.new(shared)
    # In waves: how many orders fit in at once is another test's question.
    names = [name for _ in range(10) for name in await asyncio.gather(*(trader.order() for _ in range(30)))]
    await trader.arm(1)
    begun = time.monotonic()
    await trader.cancelled(names[-1], seconds=1 + MARGIN)
    assert time.monotonic() - begun >= 0.9
    assert {await trader.state(name) for name in names} == {("CANCELLED", "DEAD_MAN")}


@pytest.mark.asyncio(loop_scope="function")
async def test_a_stream_that_stands_through_a_silence_of_the_database_keeps_its_orders(
    database: str, make_gateway: MakeGateway
) -> None:
    given = conninfo_to_dict(database)
    hole = Hole(f"{given['host']}/.s.PGSQL.{given.get('port', 5432)}")
    server = await asyncio.start_server(hole.serve, "127.0.0.1", 0)
    dsn = make_conninfo(database, host="127.0.0.1", port=server.sockets[0].getsockname()[1])
    async with server, make_gateway(POSTGRES_DSN=dsn) as gateway:
        trader = await Trader.new(gateway)
        name = await trader.order()
        async with trader.stream(1):
            hole.open.clear()
            (await gateway.get(SWITCH, headers=trader.headers)).refused(503, "execution_unavailable")
            await asyncio.sleep(2)
            hole.open.set()
            await until(lambda: is_ready(gateway), 15)
            await asyncio.sleep(1.5)
            assert await trader.state(name) == ("ACCEPTED", "")
        await trader.cancelled(name, seconds=1 + MARGIN)


@pytest.mark.asyncio(loop_scope="function")
async def test_a_switch_outlives_its_gateway(
    database: str, redis_url: str, engine_binary: Path, tmp_path: Path
) -> None:
    lifetime = 10  # longer than a start takes on a busy machine
    environ = processes.environment(database, redis_url, engine_binary)
    async with processes.running(tmp_path, environ) as gateway:
        async with aiohttp.ClientSession(gateway.url, headers=gateway.headers) as session:
            order = {"side": "BUY", "symbol": "BTCUSDT", "qty": "0.001", "price": "20000", "client_order_id": "left"}
            async with session.post("/api/order", json=order) as answer:
                assert answer.status == 200
            begun = time.monotonic()
            async with session.post(SWITCH, json={"timeout_seconds": lifetime}) as answer:
                assert answer.status == 200
        gateway.kill()
        gateway.start()
        await gateway.ready()
        assert status_of(database, "left") == ("ACCEPTED", ""), "its time is not up yet"

        async def cancelled() -> bool:
            return status_of(database, "left") == ("CANCELLED", "DEAD_MAN")

        assert time.monotonic() - begun < lifetime
        await until(cancelled, begun + lifetime + MARGIN - time.monotonic())
        assert time.monotonic() - begun >= lifetime


def status_of(database: str, name: str) -> tuple[str, str]:
    with psycopg.connect(database) as connection:
        row = connection.execute("SELECT status, reason FROM orders WHERE client_order_id = %s", (name,)).fetchone()
    assert row is not None
    return row[0], row[1]
