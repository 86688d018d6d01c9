"""The order path on real parts: engine, PostgreSQL."""

import asyncio
import json
import os
import signal
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

import msgspec
import pytest

from app.commands import Amend, Answer, Cancel, CancelAll, NewOrder, OrderType, Side, Status, TimeInForce
from app.database import Connection
from app.errors import BadParams, Conflict, ExecutionUnavailable, NotFound, RiskRejected, Unknown
from app.exchange import Exchange, StartRefused
from app.exchange_config import ExchangeConfig
from app.fencing import claim
from app.limits import Limits
from app.money import parse_units as units
from app.requests import ReadDigest
from app.tables import rows

Running = Callable[..., AbstractAsyncContextManager[Any]]


def order(order_id: str, **changes: Any) -> NewOrder:  # noqa: ANN401 - fields of several types
    given: dict[str, Any] = {
        "account": "main",
        "client_order_id": order_id,
        "side": Side.BUY,
        "symbol": "BTCUSDT",
        "qty": units("0.5"),
        "price": units("39000"),
    }
    return NewOrder(**{**given, **changes})


def cancel(order_id: str) -> Cancel:
    return Cancel(account="main", client_order_id=order_id)


async def until(condition: Callable[[], bool], seconds: float = 10) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - what is waited for lies in another process
            await asyncio.sleep(0.002)


async def logged(connection: Connection, account: str = "main") -> list[dict[str, Any]]:
    query = b"SELECT payload::text FROM order_wal WHERE account = %s ORDER BY seq"
    return [json.loads(row[0]) for row in await rows(connection, query, account)]


def kill_engine(exchange: Exchange, number: signal.Signals = signal.SIGKILL) -> None:
    os.kill(exchange._supervisor.current().engine_pid, number)


async def test_an_accepted_order_is_in_log_and_tables_before_its_answer(
    exchange: Exchange, connection: Connection
) -> None:
    answer = await exchange.submit(order("x"), key_id="k1")
    assert (answer.status, answer.executed_qty) == (Status.ACCEPTED, 0)
    events = await logged(connection)
    assert [event["type"] for event in events[-3:]] == ["order_update", "order_state", "account"]
    assert len(events) == answer.seq
    assert not any("req" in event for event in events)
    query = b"SELECT key_id, status, qty, price, last_seq FROM orders WHERE client_order_id = 'x'"
    assert [list(map(str, row)) for row in await rows(connection, query)] == [
        ["k1", "ACCEPTED", "0.50000000", "39000.00000000", str(answer.seq)]
    ]
    assert await rows(connection, b"SELECT asset, free::float, locked::float FROM balances ORDER BY asset") == [
        ("BTC", 10, 0),
        ("USDT", 980500, 19500),
    ]


async def test_the_same_order_again_gets_its_first_answer_whatever_became_of_it(
    exchange: Any,  # noqa: ANN401
    connection: Connection,
) -> None:
    first = await exchange.submit(order("x"), key_id=None)
    await exchange.print("39000", "0.2")
    assert await exchange.submit(order("x"), key_id=None) == first
    await exchange.cancel(cancel("x"))
    assert await exchange.submit(order("x"), key_id=None) == first
    assert [event["status"] for event in await logged(connection) if event["type"] == "order_update"] == [
        "ACCEPTED",
        "PARTIALLY_FILLED",
        "CANCELLED",
    ]


async def test_a_hundred_submits_at_once_make_one_order(exchange: Exchange, connection: Connection) -> None:
    answers = await asyncio.gather(*[exchange.submit(order("x"), key_id=None) for _ in range(100)])
    assert len(set(map(str, answers))) == 1
    assert await rows(connection, b"SELECT count(*) FROM order_wal WHERE type = 'order_update'") == [(1,)]


async def test_an_id_with_other_content_is_a_conflict_in_flight_and_for_ever(exchange: Exchange) -> None:
    one, other = order("x"), order("x", price=units("38000"))
    found = await asyncio.gather(
        exchange.submit(one, key_id=None), exchange.submit(other, key_id=None), return_exceptions=True
    )
    assert isinstance(found[1], Conflict)
    with pytest.raises(Conflict, match="client_order_id x is taken"):
        await exchange.submit(other, key_id=None)


async def test_a_refused_order_keeps_its_id_reason_and_seq(exchange: Exchange) -> None:
    found = []
    for _ in range(2):
        with pytest.raises(RiskRejected, match="BAD_LOT") as refused:
            await exchange.submit(order("x", qty=1), key_id=None)
        found.append((refused.value.reason, refused.value.seq, refused.value.client_order_id))
    assert found[0] == found[1]
    assert found[0][0] == "BAD_LOT"
    with pytest.raises(Conflict):
        await exchange.submit(order("x"), key_id=None)


async def test_what_the_engine_does_not_take_leaves_no_trace(exchange: Exchange) -> None:
    with pytest.raises(BadParams):
        await exchange.submit(order("x", tif=TimeInForce.GTD), key_id=None)
    with pytest.raises(NotFound):
        await exchange.submit(order("x", account="nobody"), key_id=None)
    assert (await exchange.submit(order("x"), key_id=None)).status == Status.ACCEPTED


async def test_cancel_tells_apart_open_cancelled_filled_and_unknown(exchange: Any) -> None:  # noqa: ANN401
    await exchange.submit(order("x"), key_id=None)
    first = await exchange.cancel(cancel("x"))
    assert (first.status, first.reason) == (Status.CANCELLED, "USER")
    assert await exchange.cancel(cancel("x")) == first
    with pytest.raises(Conflict, match="x is CANCELLED"):
        await exchange.cancel(Cancel(account="main", client_order_id="x", reason="OTHER"))
    await exchange.submit(order("y"), key_id=None)
    await exchange.print("39000", "1")
    with pytest.raises(Conflict, match="y is FILLED"):
        await exchange.cancel(cancel("y"))
    with pytest.raises(NotFound):
        await exchange.cancel(cancel("z"))


async def test_amend_changes_and_repeats(exchange: Exchange, connection: Connection) -> None:
    await exchange.submit(order("x"), key_id=None)
    change = Amend(account="main", client_order_id="x", qty=units("0.25"), price=units("38000"))
    first = await exchange.amend(change)
    assert (await exchange.amend(change)).seq == first.seq
    assert await rows(connection, b"SELECT qty::float, price::float, rank FROM orders") == [(0.25, 38000, 2)]
    with pytest.raises(RiskRejected, match=r"(?i)tick"):
        await exchange.amend(Amend(account="main", client_order_id="x", price=units("0.001")))
    with pytest.raises(NotFound):
        await exchange.amend(Amend(account="main", client_order_id="y", qty=1))
    await exchange.cancel(cancel("x"))
    with pytest.raises(Conflict, match="CANCELLED"):
        await exchange.amend(change)


async def test_cancel_all_cancels_in_rank_order(exchange: Exchange) -> None:
    for number in range(3):
        await exchange.submit(order(f"x{number}"), key_id=None)
    answers = await exchange.cancel_all(CancelAll(account="main"))
    assert [answer.client_order_id for answer in answers] == ["x0", "x1", "x2"]
    assert await exchange.cancel_all(CancelAll(account="main")) == []


async def test_a_print_fills_every_account_that_has_an_order(exchange: Any, connection: Connection) -> None:  # noqa: ANN401
    await exchange.open_account("second", {"USDT": units("50000")}, Limits(maker_fee_bps=units("10")))
    await exchange.submit(order("x"), key_id=None)
    await exchange.submit(order("x", account="second"), key_id=None)
    await exchange.print("38999", "0.3")
    query = b"SELECT account, qty::float, fee::float FROM fills ORDER BY account"
    assert await rows(connection, query) == [("main", 0.3, 0), ("second", 0.3, 0.0003)]
    assert exchange.markets["BTCUSDT"].price == units("38999")
    positions = await rows(connection, b"SELECT account, qty::float FROM positions ORDER BY account")
    assert positions == [("main", 0.3), ("second", 0.2997)]


async def test_an_account_opens_once_and_lives_on_without_balances(exchange: Exchange) -> None:
    await exchange.open_account("empty", {}, Limits())
    with pytest.raises(Conflict):
        await exchange.open_account("empty", {"USDT": 1}, Limits())
    with pytest.raises(BadParams, match=r"balance of USDT is -0\.00000001"):
        await exchange.open_account("negative", {"USDT": -1}, Limits())
    with pytest.raises(RiskRejected, match="INSUFFICIENT_FUNDS"):
        await exchange.submit(order("x", account="empty"), key_id=None)
    assert exchange.owned() == ["empty", "main"]
    async with exchange.hub.subscribe("empty", 0) as stream:
        assert [item.type for item in await stream.next(1)] == ["order_update", "order_state"]


async def test_limits_and_kill_switches_hold_at_once_and_after_a_restart(running: Running) -> None:
    async with running() as exchange:
        assert (await exchange.set_limits("main", {"max_order_qty": units("0.1")})).max_order_qty == units("0.1")
        with pytest.raises(RiskRejected, match="MAX_ORDER_QTY"):
            await exchange.submit(order("a"), key_id=None)
        await exchange.set_kill("main", on=True)
        with pytest.raises(NotFound):
            await exchange.set_limits("nobody", {"max_order_qty": 1})
        with pytest.raises(BadParams):
            await exchange.set_limits("main", {"cheese": 1})
    async with running() as exchange:
        assert await exchange.limits("main") == Limits(max_order_qty=units("0.1"), kill=True)
        with pytest.raises(RiskRejected, match="KILL_SWITCH"):
            await exchange.submit(order("b"), key_id=None)
        await exchange.set_kill("main", on=False)
        await exchange.set_global_kill(on=True)
    async with running() as exchange:
        assert exchange.killed
        with pytest.raises(RiskRejected, match="KILL_SWITCH"):
            await exchange.submit(order("c", qty=units("0.1")), key_id=None)
        await exchange.set_global_kill(on=False)
        await exchange.submit(order("d", qty=units("0.1")), key_id=None)


async def test_an_order_expires_by_the_clock_alone(exchange: Exchange, connection: Connection) -> None:
    soon = time.time_ns() + 300_000_000
    await exchange.submit(order("x", tif=TimeInForce.GTD, expire_ts_ns=soon), key_id=None)
    async with exchange.hub.subscribe("main", None) as stream:
        updates = [item for item in await stream.next(3) if item.type == "order_update"]
    assert json.loads(updates[0].payload)["reason"] == "GTD_EXPIRED"
    assert await rows(connection, b"SELECT status, reason FROM orders") == [("EXPIRED", "GTD_EXPIRED")]


@pytest.mark.parametrize("clean", [True, False])
async def test_a_restart_keeps_everything(running: Running, connection: Connection, *, clean: bool) -> None:
    async with running(clean=clean) as exchange:
        first = await exchange.submit(order("x"), key_id=None)
        await exchange.submit(order("s", order_type=OrderType.STOP_LIMIT, stop_price=units("40000")), key_id=None)
        await exchange.submit(order("y", side=Side.SELL, price=units("41000")), key_id=None)
        await exchange.amend(Amend(account="main", client_order_id="x", price=units("38500")))
        await exchange.print("38500", "0.2")
    assert len(await rows(connection, b"SELECT 1 FROM checkpoints")) == int(clean)
    async with running() as exchange:
        assert exchange.ready, exchange.components()
        assert await exchange.submit(order("x"), key_id=None) == first
        done = await exchange.cancel(cancel("x"))
        assert done.executed_qty == units("0.2")
        await exchange.print("40000", "1")  # triggers the stop
    events = await logged(connection)
    assert [event["client_order_id"] for event in events if event.get("reason") == "TRIGGERED"][:1] == ["s"]


async def test_a_killed_engine_is_back_within_a_second(exchange: Exchange) -> None:
    first = await exchange.submit(order("x"), key_id=None)
    kill_engine(exchange)
    await until(lambda: not exchange.ready)
    start = time.monotonic()
    with pytest.raises(ExecutionUnavailable, match="engine: ended with signal 9"):
        await exchange.submit(order("y"), key_id=None)
    assert time.monotonic() - start < 0.1
    assert not exchange.components()["engine"].ok
    await until(lambda: exchange.ready)
    assert time.monotonic() - start < 1
    assert await exchange.submit(order("x"), key_id=None) == first
    await exchange.submit(order("y"), key_id=None)


async def test_a_hung_engine_is_killed_and_what_was_in_it_is_unknown(
    exchange: Exchange, connection: Connection
) -> None:
    kill_engine(exchange, signal.SIGSTOP)
    start = time.monotonic()
    with pytest.raises(Unknown):
        await exchange.submit(order("x"), key_id=None)
    assert time.monotonic() - start < 2.1
    await until(lambda: exchange.ready)
    assert (await exchange.submit(order("x"), key_id=None)).status == Status.ACCEPTED
    assert await rows(connection, b"SELECT count(*) FROM order_wal WHERE type = 'order_update'") == [(1,)]


async def test_the_feed_goes_on_over_an_engine_that_dies(exchange: Any) -> None:  # noqa: ANN401
    await exchange.print("39000", "1")
    kill_engine(exchange)
    await until(lambda: not exchange.ready)
    exchange.feed.lines.put_nowait("TRADE BTCUSDT 39001 1")
    await until(lambda: exchange.markets["BTCUSDT"].price == units("39001"))


async def test_a_market_order_does_not_disturb_the_market(exchange: Any) -> None:  # noqa: ANN401
    exchange.feed.lines.put_nowait("QUOTE BTCUSDT 38999 2 39001 2")
    await until(lambda: "BTCUSDT" in exchange.markets)
    before = exchange.markets["BTCUSDT"]
    answer = await exchange.submit(order("x", order_type=OrderType.MARKET, tif=TimeInForce.IOC, price=0), key_id=None)
    assert answer.status == Status.FILLED
    assert exchange.markets["BTCUSDT"] is before


async def test_too_many_commands_are_refused_before_anything_happens(config: ExchangeConfig, running: Running) -> None:
    async with running(msgspec.structs.replace(config, max_in_flight=2)) as exchange:
        found = await asyncio.gather(
            *[exchange.submit(order(f"x{n}"), key_id=None) for n in range(5)], return_exceptions=True
        )
        assert [type(one).__name__ for one in found] == ["Answer"] * 2 + ["ExecutionUnavailable"] * 3


async def test_draining_refuses_and_releases(running: Running) -> None:
    async with running() as exchange:
        waiting = asyncio.create_task(exchange.submit(order("x"), key_id=None))
        await asyncio.sleep(0)
        await exchange.drain(5)
        assert (await waiting).status == Status.ACCEPTED
        with pytest.raises(ExecutionUnavailable, match="shutting down"):
            await exchange.submit(order("y"), key_id=None)


async def test_a_missing_engine_refuses_the_start(config: ExchangeConfig, running: Running) -> None:
    with pytest.raises(StartRefused, match="there is no engine at /nowhere"):
        async with running(msgspec.structs.replace(config, engine_path=Path("/nowhere"))):
            pass


async def test_ten_thousand_open_orders_are_cancelled_at_once_and_restored_in_three_seconds(
    exchange: Exchange, connection: Connection
) -> None:
    count = 10_000
    todo = iter(range(count))

    async def worker() -> None:
        for number in todo:
            await exchange.submit(order(f"x{number}", qty=units("0.001"), price=units("30000")), key_id=None)

    await asyncio.gather(*[worker() for _ in range(256)])
    kill_engine(exchange)
    await until(lambda: not exchange.ready)
    start = time.monotonic()
    await until(lambda: exchange.ready)
    assert time.monotonic() - start < 3
    task = asyncio.create_task(exchange.cancel_all(CancelAll(account="main")))
    await asyncio.wait({task})
    if isinstance(task.exception(), Unknown):  # on a slow machine; it goes on
        await until(lambda: not exchange._desk._commands, 20)
    assert await rows(connection, b"SELECT status, count(*) FROM orders GROUP BY status") == [("CANCELLED", count)]


async def test_a_gateway_that_lost_its_shards_cannot_write(
    config: ExchangeConfig, running: Running, connection: Connection
) -> None:
    async with running(msgspec.structs.replace(config, retry_most=0.1)) as exchange:
        await connection.execute("UPDATE shards SET epoch = epoch + 1")
        with pytest.raises(Unknown):
            await exchange.submit(order("x"), key_id=None)
        assert await rows(connection, b"SELECT 1 FROM orders") == []
        await until(lambda: exchange.ready)
        await exchange.submit(order("x"), key_id=None)


async def test_another_gateway_is_named_while_its_lease_runs(config: ExchangeConfig, running: Running) -> None:
    async with running(msgspec.structs.replace(config, owner="other")), running(config) as exchange:
        assert not exchange.ready
        assert exchange.components()["leases"].detail.startswith("other owns the accounts")
        with pytest.raises(ExecutionUnavailable, match="other owns the accounts"):
            await exchange.submit(order("x"), key_id=None)


async def test_closing_leaves_nobody_waiting(running: Running) -> None:
    async with running() as exchange:
        waiting = [asyncio.create_task(exchange.submit(order(f"x{n}"), key_id=None)) for n in range(20)]
        await asyncio.sleep(0)
    found = await asyncio.wait_for(asyncio.gather(*waiting, return_exceptions=True), 1)
    assert all(isinstance(one, (Answer, Unknown, ExecutionUnavailable)) for one in found), found


async def test_an_account_just_claimed_is_waited_for_before_its_gateway_hears_of_the_commit(
    running: Running, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Others see a committed claim, and send commands, sooner than the gateway that made it."""
    committed, heard = asyncio.Event(), asyncio.Event()

    async def heard_late(connection: Connection, owner: str, incarnation: str, shards: Iterable[int]) -> dict[int, int]:
        epochs = await claim(connection, owner, incarnation, shards)
        committed.set()
        await heard.wait()
        return epochs

    async def ask_between(exchange: Exchange) -> str:
        await committed.wait()
        asked = asyncio.create_task(exchange.here(ReadDigest("main"), time.monotonic() + 10))
        assert not (await asyncio.wait({asked}, timeout=0.2))[0], asked.exception()
        heard.set()
        answer = await asked
        assert isinstance(answer.account, str)
        return str(answer.account)

    monkeypatch.setattr("app.steward.claim", heard_late)
    asking: list[asyncio.Task[str]] = []
    start = Exchange.start

    async def start_asking(exchange: Exchange) -> None:
        asking.append(asyncio.create_task(ask_between(exchange)))
        await start(exchange)

    monkeypatch.setattr(Exchange, "start", start_asking)
    async with running():
        assert await asking[0] == "main"
