"""Engines killed and database connections cut at random under load: nothing acknowledged is lost or doubled."""

import asyncio
import contextlib
import os
import random
import signal
from collections import Counter
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import psycopg
import pytest

from app.commands import Amend, Answer, Cancel, NewOrder, OrderType, Side, Status, TimeInForce
from app.database import Connection
from app.errors import Conflict, ExecutionUnavailable, NotFound, RiskRejected, Unknown
from app.exchange import Exchange
from app.money import parse_units as units
from app.tables import rows

Running = Callable[..., AbstractAsyncContextManager[Any]]

KILLS = 60
WORKERS = 16
PAUSE = (0.005, 0.08)  # seconds between ready and the next kill


class Ledger:
    """What clients were told."""

    def __init__(self) -> None:
        self.answers: dict[str, Answer] = {}
        self.rejected: set[str] = set()
        self.unknown: set[str] = set()
        self.cancelled: set[str] = set()
        self.told: Counter[str] = Counter()


def make_order(number: int, rng: random.Random) -> NewOrder:
    kind = rng.choice([OrderType.LIMIT, OrderType.LIMIT, OrderType.MARKET])
    side = rng.choice(list(Side))
    limit = units("38000") + rng.randrange(2000) * 10**8
    return NewOrder(
        account="main",
        client_order_id=f"o{number}",
        side=side,
        symbol="BTCUSDT",
        qty=rng.randrange(1, 50) * 100_000,
        price=0 if kind == OrderType.MARKET else limit,
        order_type=kind,
        tif=TimeInForce.IOC if kind == OrderType.MARKET else TimeInForce.GTC,
    )


async def client(exchange: Exchange, ledger: Ledger, numbers: Any, rng: random.Random, over: asyncio.Event) -> None:  # noqa: ANN401
    """Submit, sometimes repeat, amend or cancel; note what is answered."""
    while not over.is_set():
        order = make_order(next(numbers), rng)
        try:
            answer = await exchange.submit(order, key_id=None)
            assert ledger.answers.setdefault(order.client_order_id, answer) == answer
            if rng.random() < 0.2:
                assert await exchange.submit(order, key_id=None) == answer
            if answer.status == Status.ACCEPTED and rng.random() < 0.3:
                await exchange.amend(
                    Amend(account="main", client_order_id=order.client_order_id, qty=order.qty + 100_000)
                )
            if answer.status == Status.ACCEPTED and rng.random() < 0.5:
                done = await exchange.cancel(Cancel(account="main", client_order_id=order.client_order_id))
                assert done.status == Status.CANCELLED
                ledger.cancelled.add(order.client_order_id)
        except Unknown:
            ledger.unknown.add(order.client_order_id)
            ledger.told["unknown"] += 1
        except RiskRejected as error:
            if error.seq is not None:  # else it is an amend that was refused
                ledger.rejected.add(order.client_order_id)
        except (Conflict, NotFound) as error:  # filled before it could be amended or cancelled
            ledger.told[type(error).__name__] += 1
        except ExecutionUnavailable:
            ledger.told["unavailable"] += 1
            await asyncio.sleep(0.01)


async def market(exchange: Any, rng: random.Random, over: asyncio.Event) -> None:  # noqa: ANN401
    while not over.is_set():
        price = 38900 + rng.randrange(200)
        exchange.feed.lines.put_nowait(f"QUOTE BTCUSDT {price} 1 {price + 1} 1")
        exchange.feed.lines.put_nowait(f"TRADE BTCUSDT {price} 0.05")
        await asyncio.sleep(0.002)


async def kill(exchange: Exchange, dsn: str, victim: str) -> None:
    if victim == "engine":
        with contextlib.suppress(ProcessLookupError):
            os.kill(exchange._supervisor.current().engine_pid, signal.SIGKILL)
        return
    query = """SELECT pg_terminate_backend(pid) FROM pg_stat_activity
        WHERE application_name LIKE %s || '%%' AND datname = current_database()"""
    async with await psycopg.AsyncConnection.connect(dsn, autocommit=True) as connection:
        await connection.execute(query, (victim,))


async def until(condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(10):
        while not condition():  # noqa: ASYNC110 - what is waited for lies in another process
            await asyncio.sleep(0.002)


@pytest.mark.timeout(110)
async def test_nothing_acknowledged_is_lost_or_doubled(running: Running, database: str, connection: Connection) -> None:
    rng = random.Random(3)
    ledger, over, numbers = Ledger(), asyncio.Event(), iter(range(10**9))
    victims = ["engine", "engine", "veloz committer", "veloz keeper", "veloz reader"]
    async with running() as exchange:
        work = [asyncio.create_task(client(exchange, ledger, numbers, random.Random(n), over)) for n in range(WORKERS)]
        work.append(asyncio.create_task(market(exchange, rng, over)))
        for number in range(KILLS):
            await until(lambda: exchange.ready)
            await asyncio.sleep(rng.uniform(*PAUSE))
            victim = victims[number % len(victims)]
            await kill(exchange, database, victim)
            if victim != "veloz reader":
                await until(lambda: not exchange.ready)
        over.set()
        await asyncio.gather(*work)
        await until(lambda: exchange.ready)
        await check_answers(connection, ledger)
    await check_log(connection)
    async with running() as again:  # log, tables and engine agree once more, from the first event
        assert again.ready, again.components()
    assert len(ledger.answers) > KILLS
    assert ledger.unknown


async def check_answers(connection: Connection, ledger: Ledger) -> None:
    table = {row[0]: row[1:] for row in await rows(connection, b"SELECT client_order_id, status, reason FROM orders")}
    for order_id in ledger.answers:
        assert order_id in table, f"{order_id} was acknowledged and is not there"
    for order_id in ledger.cancelled:
        assert table[order_id] == ("CANCELLED", "USER"), f"{order_id} was acknowledged as cancelled"
    for order_id in ledger.rejected:
        assert table[order_id][0] == "REJECTED"
    told = set(ledger.answers) | ledger.rejected | ledger.unknown
    assert not set(table) - told, "orders that no client was told of"
    rng = random.Random(1)
    for order_id in rng.sample(sorted(ledger.answers), 20):
        found = await rows(connection, b"SELECT answer::text FROM orders WHERE client_order_id = %s", order_id)
        assert f'"seq":{ledger.answers[order_id].seq},' in found[0][0]


async def check_log(connection: Connection) -> None:
    [(count, first, last, head)] = await rows(
        connection,
        b"SELECT count(*), min(w.seq), max(w.seq), max(a.seq) FROM order_wal w JOIN accounts a USING (account)",
    )
    assert (first, last) == (1, head)
    assert count == head
    query = b"""SELECT payload->>'client_order_id' FROM order_wal
    WHERE type = 'order_update' AND payload->>'status' = 'ACCEPTED' AND payload->>'reason' IS NULL"""
    accepted = Counter(row[0] for row in await rows(connection, query))
    assert set(accepted.values()) == {1}, "an order was accepted twice"
