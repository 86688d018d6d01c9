"""Every damaged record is found at the start, named, and keeps the gateway from taking orders."""

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AbstractAsyncContextManager
from typing import Any
from uuid import uuid4

import msgspec
import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from app.commands import Cancel, NewOrder, OrderType, Side
from app.database import Connection
from app.errors import ExecutionUnavailable, RiskRejected
from app.exchange_config import ExchangeConfig
from app.fencing import SHARDS
from app.limits import Limits
from app.money import parse_units as units
from app.recovery import write_checkpoints
from app.tables import rows
from tests.app.core.conftest import until

Running = Callable[..., AbstractAsyncContextManager[Any]]


def order(order_id: str, **changes: Any) -> NewOrder:  # noqa: ANN401 - fields of several types
    given: dict[str, Any] = {"qty": units("0.5"), "price": units("39000"), "side": Side.BUY, "symbol": "BTCUSDT"}
    return NewOrder(account="main", client_order_id=order_id, **{**given, **changes})


async def trade(exchange: Any) -> None:  # noqa: ANN401
    """An open, a partly filled, a filled, a cancelled and a refused order, and a waiting stop."""
    await exchange.set_limits("main", {"maker_fee_bps": units("7.5")})
    await exchange.submit(order("filled"), key_id=None)
    await exchange.print("39000", "0.5")
    await exchange.submit(order("partly"), key_id=None)
    await exchange.print("39000", "0.20001")
    await exchange.submit(order("open", price=units("38000")), key_id=None)
    await exchange.submit(order("sell", side=Side.SELL, price=units("41000")), key_id=None)
    stop = order("stop", order_type=OrderType.STOP, price=0, stop_price=units("42000"))
    await exchange.submit(stop, key_id=None)
    await exchange.submit(order("gone"), key_id=None)
    await exchange.cancel(Cancel(account="main", client_order_id="gone"))
    with pytest.raises(RiskRejected, match="BAD_LOT"):
        await exchange.submit(order("refused", qty=1), key_id=None)


@pytest.fixture
def database(postgres: str, template_of: Callable[..., str]) -> Iterator[str]:
    """The DSN of a database of this test's own in which `trade` was done."""
    template, name = template_of("traded", trade), f"test_{uuid4().hex}"
    with psycopg.connect(postgres, autocommit=True) as server:
        query = sql.SQL("CREATE DATABASE {} TEMPLATE {}")
        server.execute(query.format(sql.Identifier(name), sql.Identifier(template)))
        yield make_conninfo(postgres, dbname=name)
        server.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


async def change(connection: Connection, query: str) -> None:
    """Damage, behind the foreign keys' back."""
    await connection.execute("SET session_replication_role = replica")
    cursor = await connection.execute(query.encode())
    assert cursor.rowcount == 1, "the damage must hit one record"
    await connection.execute("SET session_replication_role = origin")


def damaged_payload(kind: str, old: str, new: str) -> str:
    return (
        f"UPDATE order_wal SET payload = replace(payload::text, '{old}', '{new}')::json "  # noqa: S608 - of this file's words
        f"WHERE seq = (SELECT min(seq) FROM order_wal WHERE type = '{kind}' AND payload::text LIKE '%{old}%')"
    )


DAMAGES = {
    "an amount of a fill": (damaged_payload("fill", '"qty":0.5', '"qty":0.4'), "chain"),
    "a fee": (damaged_payload("fill", '"fee":0.000375', '"fee":0.000374'), "chain"),
    "a starting balance": (damaged_payload("transfer", "1000000", "1000001"), "chain"),
    "an order's price": (damaged_payload("order_update", "38000", "38001"), "chain"),
    "a time nobody folds": (damaged_payload("account", '"ts_ns":1', '"ts_ns":2'), "chain does not end as it did"),
    "what an order_state says": (damaged_payload("order_state", '"reason":""', '"reason":"x"'), "chain"),
    "a lost entry": ("DELETE FROM order_wal WHERE seq = 7", "log entry 7 is missing"),
    "the lost last entry": ("DELETE FROM order_wal WHERE seq = (SELECT max(seq) FROM order_wal)", "its log ends at"),
    "an open order's price": ("UPDATE orders SET price = 38001 WHERE client_order_id = 'open'", "tables have 'order open"),
    "an open order's rank": ("UPDATE orders SET rank = 99 WHERE client_order_id = 'partly'", "order partly"),
    "an open order declared closed": ("UPDATE orders SET status = 'CANCELLED' WHERE client_order_id = 'open'", "order open"),
    "a lost order": ("DELETE FROM orders WHERE client_order_id = 'sell'", "order sell"),
    "a filled order's quantity": ("UPDATE orders SET executed_qty = 0.4 WHERE client_order_id = 'filled'", "order filled"),
    "a cancelled order made open": ("UPDATE orders SET status = 'ACCEPTED' WHERE client_order_id = 'gone'", "order gone"),
    "a balance": ("UPDATE balances SET free = free + 0.00000001 WHERE asset = 'BTC'", "the log has 'balance BTC"),
    "a lock": ("UPDATE balances SET free = free + 1, locked = locked - 1 WHERE asset = 'USDT'", "'locked USDT"),
    "a balance of nobody": ("UPDATE balances SET account = 'nobody' WHERE asset = 'BTC'", "balance BTC"),
    "a lost balance": ("DELETE FROM balances WHERE asset = 'BTC'", "balance BTC"),
    "a position": ("UPDATE positions SET cost = cost + 1", "position BTCUSDT"),
    "an average price": ("UPDATE positions SET avg_price = 1", "average price of BTCUSDT"),
    "a fill": ("UPDATE fills SET price = price + 1 WHERE trade_id = 1", "fills"),
    "the number of fills": ("UPDATE accounts SET trades = trades + 1", "trades"),
    "the end of the log": ("UPDATE accounts SET seq = seq - 1", "its log ends at|order|chain"),
    "the chain": ("UPDATE accounts SET chain = sha256('')", "chain does not end as it did"),
}  # fmt: skip


@pytest.mark.parametrize("damage", DAMAGES)
async def test_damage_is_found_and_named(running: Running, connection: Connection, damage: str) -> None:
    query, message = DAMAGES[damage]
    await change(connection, query)
    async with running() as exchange:
        assert not exchange.ready
        component = exchange.components()["recovery"]
        assert not component.ok
        assert component.detail.startswith("account main: ")
        with pytest.raises(AssertionError, match=message):
            raise AssertionError(component.detail)
        with pytest.raises(ExecutionUnavailable, match="recovery: account main"):
            await exchange.submit(order("new"), key_id=None)
    assert await rows(connection, b"SELECT 1 FROM orders WHERE client_order_id = 'new'") == []


@pytest.mark.parametrize(
    "damage",
    [
        'UPDATE accounts SET limits = \'{"max_notional":"much"}\'',
        'UPDATE accounts SET limits = \'{"no_limit":"1"}\'',
        "UPDATE accounts SET limits = '[]'",
    ],
)
async def test_rows_that_cannot_be_read_are_damage_too(running: Running, connection: Connection, damage: str) -> None:
    await change(connection, damage)
    async with running() as exchange:
        assert not exchange.ready
        assert "the tables hold what cannot be" in exchange.components()["recovery"].detail


async def test_repaired_damage_is_noticed_on_demand(
    running: Running, connection: Connection, config: ExchangeConfig
) -> None:
    await change(connection, "UPDATE balances SET free = free + 1 WHERE asset = 'BTC'")
    async with running(msgspec.structs.replace(config, retry_least=60.0, retry_most=60.0)) as exchange:
        assert not exchange.ready
        await change(connection, "UPDATE balances SET free = free - 1 WHERE asset = 'BTC'")
        exchange.retry()
        await until(lambda: exchange.ready, 5)
        await exchange.submit(order("new", price=units("30000")), key_id=None)


async def test_a_damaged_account_is_named_and_not_ready_while_the_others_trade(
    running: Running, connection: Connection
) -> None:
    async with running() as exchange:
        await exchange.open_account("other", {"USDT": units("5")}, Limits())
    await change(connection, "UPDATE balances SET free = 6 WHERE account = 'other'")
    async with running() as exchange:
        assert not exchange.ready
        assert exchange.components()["recovery"].detail.startswith("account other: ")
        assert await exchange.submit(order("new", price=units("30000")), key_id=None)
        with pytest.raises(ExecutionUnavailable, match="account other"):
            await exchange.submit(msgspec.structs.replace(order("new"), account="other"), key_id=None)


async def test_a_fold_from_a_checkpoint_ends_like_one_from_the_first_event(
    running: Running, connection: Connection, config: ExchangeConfig
) -> None:
    await write_checkpoints(connection, range(SHARDS), least=1)
    async with running() as exchange:
        assert exchange.ready
        await exchange.print("39000", "0.1")
    for from_start in (False, True):
        async with running(msgspec.structs.replace(config, verify_from_start=from_start)) as exchange:
            assert exchange.ready, exchange.components()


async def test_a_damaged_checkpoint_is_passed_over(running: Running, connection: Connection) -> None:
    await write_checkpoints(connection, range(SHARDS), least=1)
    await change(connection, "UPDATE checkpoints SET state = replace(state, 'BTC', 'BTX')")
    async with running() as exchange:
        assert exchange.ready, exchange.components()


async def test_a_pruned_log_needs_its_checkpoint(running: Running, connection: Connection) -> None:
    await write_checkpoints(connection, range(SHARDS), least=1)
    await connection.execute("DELETE FROM order_wal WHERE seq <= 10")
    await connection.execute("UPDATE accounts SET pruned_seq = 10")
    async with running() as exchange:
        assert exchange.ready, exchange.components()
    await connection.execute("DELETE FROM checkpoints")
    async with running() as exchange:
        assert "no good checkpoint" in exchange.components()["recovery"].detail


async def test_a_checkpoint_is_written_while_it_runs(
    running: Running, connection: Connection, config: ExchangeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    """However little each account has: what many have together is as long to fold."""
    monkeypatch.setattr("app.tenure.CHECKPOINT_PAUSE", 0.02)
    async with running(msgspec.structs.replace(config, checkpoint_events=10)) as exchange:
        for number in range(5):
            answer = await exchange.submit(order(f"x{number}"), key_id=None)
        async with asyncio.timeout(10):
            while not await rows(connection, b"SELECT FROM checkpoints WHERE seq >= %s", answer.seq - 5):  # noqa: ASYNC110
                await asyncio.sleep(0.02)
        assert exchange.ready
