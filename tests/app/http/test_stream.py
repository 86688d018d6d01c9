"""Server-sent events over HTTP: exactly the committed ones, resumed where a client left off."""

from __future__ import annotations

import asyncio
import socket
import time
from pathlib import Path

import pytest
from prometheus_client import Gauge

from tests.app.http.conftest import Gateway, MakeGateway, until


async def test_a_client_sees_its_events_in_order_with_contiguous_ids(gateway: Gateway) -> None:
    async with gateway.stream("/api/stream?last_id=0") as events:
        assert events.response.headers["Content-Type"].startswith("text/event-stream")
        assert events.response.headers["Cache-Control"] == "no-store"
        assert events.response.headers["X-Accel-Buffering"] == "no"
        opening = await events.take(4, "market")
        await gateway.order()
        after = await events.take(3, "market")
    assert [e.id for e in opening + after] == ["1", "2", "3", "4", "5", "6", "7"]
    assert [e.type for e in after] == ["order_update", "order_state", "account"]
    assert after[1].data["client_order_id"] == "a"
    assert events.retries == 1


async def test_market_events_carry_no_id(gateway: Gateway) -> None:
    async with gateway.stream() as events:
        event = await events.next("order_update")
    assert event is not None
    assert (event.type, event.id) == ("market", None)


async def test_a_client_resumes_after_its_last_id(gateway: Gateway) -> None:
    await gateway.order()
    async with gateway.stream("/api/stream?last_id=1", Last_Event_ID="5") as events:
        assert [e.id for e in await events.take(2, "market")] == ["6", "7"]
    async with gateway.stream("/api/stream?last_id=6") as events:
        assert [e.id for e in await events.take(1, "market")] == ["7"]


async def test_an_id_above_the_head_gives_a_reset(gateway: Gateway) -> None:
    async with gateway.stream("/api/stream?last_id=1000") as events:
        first = await events.next("market")
        assert first is not None
        assert (first.type, first.id) == ("reset", "4")


@pytest.mark.parametrize("last_id", ["x", "-1", "1.5", "9" * 20, "\uff11"])
async def test_an_id_that_is_none_is_refused(gateway: Gateway, last_id: str) -> None:
    (await gateway.get("/api/stream", params={"last_id": last_id})).refused(400, "bad_params")


async def test_a_stream_needs_a_credential(gateway: Gateway) -> None:
    (await gateway.get("/api/stream", headers={})).refused(401, "authentication_required")


async def test_an_admin_follows_all_accounts_and_others_do_not(gateway: Gateway) -> None:
    await gateway.post("/api/admin/accounts", {"account": "second", "balances": {"USDT": "5"}})
    async with gateway.stream("/api/stream?account=*") as events:
        await gateway.order()
        seen = await events.take(3, "market")
        assert {e.data["account"] for e in seen} == {"main"}
    cursor = seen[0].id
    assert cursor is not None
    async with gateway.stream("/api/stream?account=*", Last_Event_ID=cursor) as events:
        assert [e.id for e in await events.take(2, "market")] == [e.id for e in seen[1:]]
    (await gateway.get("/api/stream?account=*&last_id=%25")).refused(400, "bad_params")
    trader = {"X-API-Key": await gateway.make_key("trader", "second")}
    (await gateway.get("/api/stream?account=*", headers=trader)).refused(403, "forbidden")
    (await gateway.get("/api/stream?account=main", headers=trader)).refused(403, "forbidden")
    (await gateway.get("/api/stream?account=nobody")).refused(404, "not_found")


async def test_a_quiet_stream_has_heartbeats(make_gateway: MakeGateway) -> None:
    async with make_gateway(STREAM_HEARTBEAT="0.2", SIM_RATE="0.001") as gateway, gateway.stream() as events:
        with pytest.raises(TimeoutError):
            await events.next("market", seconds=1.0)
        assert events.heartbeats >= 3


async def test_a_stream_ends_when_its_key_is_revoked(gateway: Gateway) -> None:
    made = (await gateway.post("/api/auth/keys", {"role": "viewer"})).json
    async with gateway.stream(X_API_Key=made["api_key"]) as events:
        assert await events.next() is not None
        assert (await gateway.call("DELETE", f"/api/auth/keys?key_id={made['key_id']}")).status == 200
        revoked = time.monotonic()
        while await events.next() is not None:
            assert time.monotonic() - revoked < 5
    assert events.retries == 2


async def test_a_key_has_so_many_streams_and_no_more(make_gateway: MakeGateway) -> None:
    async with make_gateway(STREAMS_PER_KEY="2") as gateway, gateway.stream() as one, gateway.stream() as two:
        await asyncio.gather(one.next(), two.next())
        reply = await gateway.get("/api/stream")
        reply.refused(429, "rate_limit_exceeded")
        assert reply.headers["Retry-After"] == "1"


async def test_draining_ends_streams_with_a_hint_to_come_back(make_gateway: MakeGateway) -> None:
    """Though it is behind a balancer: there is no other gateway that could be asked."""
    async with make_gateway(TRUSTED_PROXIES="127.0.0.1") as gateway, gateway.stream() as events:
        assert await events.next() is not None
        gateway.services.lifecycle.draining = True
        gateway.services.streams.end()
        while await events.next() is not None:
            pass
        assert events.retries == 2
        assert (await gateway.get("/health/ready")).status == 503
        (await gateway.get("/api/stream")).refused(503, "execution_unavailable")


async def test_a_reader_that_stalls_is_cut_off_and_others_are_served(make_gateway: MakeGateway) -> None:
    """A kernel that gives the connection up first is as good as the gateway's own time limit."""
    async with make_gateway(STREAM_STALL="0.5", SIM_RATE="5000") as gateway:
        open_streams = gateway.services.metrics.streams
        with socket.socket() as reader:
            reader.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            reader.connect(("127.0.0.1", gateway.port))
            reader.sendall(f"GET /api/stream HTTP/1.1\r\nHost: x\r\nX-API-Key: {gateway.key}\r\n\r\n".encode())
            await until(lambda: count(open_streams, 1), 5)
            begun = time.monotonic()
            await until(lambda: count(open_streams, 0), 20)
            assert time.monotonic() - begun > 0.5
        assert (await gateway.get("/api/market")).status == 200


async def count(gauge: Gauge, value: int) -> bool:
    return sum(sample.value for metric in gauge.collect() for sample in metric.samples) == value


@pytest.mark.parametrize("account", ["%00", "a%0A", "a%20b", "**", "%ff", "x" * 65])
async def test_an_account_that_is_no_name_is_refused(gateway: Gateway, account: str) -> None:
    (await gateway.get(f"/api/stream?account={account}")).refused(400, "bad_params")


async def test_a_client_that_never_reads_its_answers_is_given_up(
    make_gateway: MakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.protocol.STALL", 0.5)
    async with make_gateway() as gateway:
        with socket.create_connection(("127.0.0.1", gateway.port)) as client:
            client.sendall(b"GET /api/openapi.json HTTP/1.1\r\nHost: x\r\n\r\n" * 300)
            peers = f":{client.getsockname()[1]:04X} 01 "  # established, as the server sees it

            async def ended() -> bool:
                table = Path("/proc/self/net/tcp").read_text()  # noqa: ASYNC240 - the kernel's, not a disk's
                return f":{gateway.port:04X} 0100007F{peers}" not in table

            assert not await ended()
            await until(ended, 15)
