"""Streams: no gap, no duplicate, whatever the reader's pace, and reset when the past is gone."""

import asyncio
from typing import Any

import pytest

from app.commands import NewOrder, Side
from app.database import Connection
from app.errors import BadParams, NotFound
from app.hub import StreamItem, Subscription
from app.limits import Limits
from app.money import parse_units as units
from app.tables import rows

AT_ONCE = 500


def order(order_id: str, account: str = "main") -> NewOrder:
    return NewOrder(
        account=account,
        client_order_id=order_id,
        side=Side.BUY,
        symbol="BTCUSDT",
        qty=units("0.001"),
        price=units("30000"),
    )


async def submit(exchange: Any, count: int, name: str = "x", account: str = "main") -> None:  # noqa: ANN401
    for first in range(0, count, AT_ONCE):
        several = range(first, min(first + AT_ONCE, count))
        await asyncio.gather(*[exchange.submit(order(f"{name}{n}", account), key_id=None) for n in several])


async def durable(stream: Subscription, count: int) -> list[StreamItem]:
    """So many durable items."""
    found: list[StreamItem] = []
    async with asyncio.timeout(10):
        while len(found) < count:
            found += [item for item in await stream.next(1) if item.id is not None]
    return found


def seqs(items: list[StreamItem]) -> list[int]:
    return [int(item.id or 0) for item in items]


async def test_a_reader_gets_the_log_and_then_what_comes(exchange: Any) -> None:  # noqa: ANN401
    await submit(exchange, 3)
    async with exchange.hub.subscribe("main", 2) as stream:
        assert seqs(await durable(stream, 11)) == list(range(3, 14))
        await submit(exchange, 2, "y")
        assert seqs(await durable(stream, 6)) == list(range(14, 20))
        assert await stream.next(0.01) == []


async def test_a_reader_behind_the_ring_reads_the_log(exchange: Any, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ANN401
    monkeypatch.setattr("app.ring.RING_BYTES", 2000)
    async with exchange.hub.subscribe("main", None) as stream:
        head = exchange.hub.heads()["main"]
        await submit(exchange, 400)
        assert seqs(await durable(stream, 1200)) == list(range(head + 1, head + 1201))
        assert exchange.hub._followed["main"].ring.first > head + 1190


async def test_ten_thousand_events_are_replayed_in_a_second(exchange: Any, connection: Connection) -> None:  # noqa: ANN401
    await submit(exchange, 3400)
    [(head,)] = await rows(connection, b"SELECT seq FROM accounts")
    loop = asyncio.get_running_loop()
    async with exchange.hub.subscribe("main", 0) as stream:
        start = loop.time()
        assert seqs(await durable(stream, head)) == list(range(1, head + 1))
        assert head > 10_000
        assert loop.time() - start < 1


async def test_a_place_that_is_not_in_the_log_gives_reset_and_goes_on(exchange: Any, connection: Connection) -> None:  # noqa: ANN401
    async with exchange.hub.subscribe("main", 1000) as stream:
        [reset] = await stream.next(1)
        assert (reset.id, reset.type) == ("4", "reset")
        await submit(exchange, 1)
        assert seqs(await durable(stream, 3)) == [5, 6, 7]
    await connection.execute("DELETE FROM order_wal WHERE seq <= 5")
    async with exchange.hub.subscribe("main", 3) as stream:
        assert [(item.id, item.type) for item in await stream.next(1)] == [("7", "reset")]
    async with exchange.hub.subscribe("main", 5) as stream:
        assert seqs(await durable(stream, 2)) == [6, 7]


async def test_an_unknown_account_has_no_stream(exchange: Any) -> None:  # noqa: ANN401
    with pytest.raises(NotFound):
        async with exchange.hub.subscribe("nobody", None):
            pass


async def test_a_slow_reader_misses_market_events_only(exchange: Any, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: ANN401
    monkeypatch.setattr("app.ring.RING_BYTES", 1000)
    async with exchange.hub.subscribe("main", None) as stream:
        for number in range(50):
            await exchange.print("39000", f"0.{number + 1}")
        await submit(exchange, 1)
        items = await stream.next(1)
    assert 0 < len([item for item in items if item.type == "market"]) < 15
    assert seqs([item for item in items if item.id]) == [5, 6, 7]


async def test_an_admin_follows_all_accounts_and_resumes_at_any_cursor(exchange: Any) -> None:  # noqa: ANN401
    await exchange.open_account("other", {"USDT": units("1000")}, Limits())
    async with exchange.hub.subscribe_all(None) as stream:
        await submit(exchange, 4)
        await submit(exchange, 4, account="other")
        everything = await durable(stream, 24)
        assert len({item.payload for item in everything}) == 24
        assert await stream.next(0.05) == []
    for place in (0, 7, 22):
        async with exchange.hub.subscribe_all(everything[place].id) as stream:
            assert await durable(stream, 23 - place) == everything[place + 1 :]


async def test_a_cursor_of_another_stream_is_refused_and_one_of_the_future_reset(exchange: Any) -> None:  # noqa: ANN401
    for cursor in ("17", "!!!", "bm8", "WzEsMl0"):
        with pytest.raises(BadParams, match="is not a cursor of this stream"):
            async with exchange.hub.subscribe_all(cursor):
                pass
    async with exchange.hub.subscribe_all("Wzk5OTk5OTksImEiLDFd") as stream:
        assert [item.type for item in await stream.next(1)] == ["reset"]


async def test_events_of_a_lost_commit_answer_still_reach_the_reader(exchange: Any, connection: Connection) -> None:  # noqa: ANN401
    """The transaction committed, the gateway never heard: after recovery the reader gets what the log has."""
    async with exchange.hub.subscribe("main", None) as stream:
        publish = exchange._publisher._hub.publish
        exchange._publisher._hub.publish = lambda *_: None
        await exchange.submit(order("x0"), key_id=None)
        exchange._publisher._hub.publish = publish
        tenure = exchange._supervisor.current()
        tenure.abandon("test")
        assert seqs(await durable(stream, 3)) == [5, 6, 7]
    assert await rows(connection, b"SELECT seq FROM accounts") == [(7,)]
