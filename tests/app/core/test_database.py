"""A database that answers nothing: stopped, or behind a proxy that swallows everything."""

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from pathlib import Path
from typing import Any

import msgspec
import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from app.commands import NewOrder, Side
from app.database import Connection, bounded, cut_after
from app.errors import ExecutionUnavailable, Unknown
from app.exchange_config import ExchangeConfig
from app.money import parse_units as units

Running = Callable[..., AbstractAsyncContextManager[Any]]


class Hole:
    """A TCP proxy that can stop passing anything on, without closing anything."""

    def __init__(self, target: str) -> None:
        self.open = asyncio.Event()
        self.open.set()
        self.port = 0
        self._target = target
        self._pumps: set[asyncio.Task[None]] = set()

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_unix_connection(self._target)
        await asyncio.gather(self._pump(reader, back), self._pump(there, writer))

    async def _pump(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter) -> None:
        try:
            while data := await source.read(65536):
                await self.open.wait()
                sink.write(data)
                await sink.drain()
        except ConnectionError:
            pass
        finally:
            sink.close()


@asynccontextmanager
async def hole_to(config: ExchangeConfig) -> AsyncIterator[tuple[Hole, ExchangeConfig]]:
    dsn = config.postgres_dsn
    given = conninfo_to_dict(dsn)
    hole = Hole(f"{given['host']}/.s.PGSQL.{given.get('port', 5432)}")
    server = await asyncio.start_server(hole.serve, "127.0.0.1", 0)
    hole.port = server.sockets[0].getsockname()[1]
    async with server:
        through = make_conninfo(dsn, host="127.0.0.1", port=hole.port)
        yield hole, msgspec.structs.replace(config, postgres_dsn=through)
        hole.open.set()


def order(order_id: str) -> NewOrder:
    return NewOrder(
        account="main",
        client_order_id=order_id,
        side=Side.BUY,
        symbol="BTCUSDT",
        qty=units("0.1"),
        price=units("30000"),
    )


async def test_a_black_hole_is_answered_in_two_seconds_and_then_at_once(
    config: ExchangeConfig, running: Running
) -> None:
    async with hole_to(config) as (hole, through), running(through) as exchange:
        first = await exchange.submit(order("before"), key_id=None)
        hole.open.clear()
        start = time.monotonic()
        with pytest.raises((Unknown, ExecutionUnavailable)):
            await exchange.submit(order("during"), key_id=None)
        assert time.monotonic() - start < 2.1
        async with asyncio.timeout(3):
            while exchange.ready:  # noqa: ASYNC110 - it is a time-out that ends it
                await asyncio.sleep(0.01)
        start = time.monotonic()
        with pytest.raises(ExecutionUnavailable):
            await exchange.submit(order("after"), key_id=None)
        assert time.monotonic() - start < 0.1
        assert not exchange.components()["database"].ok
        hole.open.set()
        async with asyncio.timeout(15):
            await exchange._supervisor.next_tenure()
        assert await exchange.submit(order("before"), key_id=None) == first
        await exchange.submit(order("during"), key_id=None)


async def test_a_stopped_committer_loses_its_tenure_within_two_seconds(
    running: Running, connection: Connection
) -> None:
    async with running() as exchange:
        query = b"""SELECT pid FROM pg_stat_activity
            WHERE application_name LIKE 'veloz committer%' AND datname = current_database()"""
        [(pid,)] = await (await connection.execute(query)).fetchall()
        os.kill(pid, signal.SIGSTOP)
        try:
            start = time.monotonic()
            with pytest.raises(Unknown):
                await exchange.submit(order("x"), key_id=None)
            assert time.monotonic() - start < 2.1
        finally:
            os.kill(pid, signal.SIGCONT)
        async with asyncio.timeout(15):
            await exchange._supervisor.next_tenure()
        await exchange.submit(order("x"), key_id=None)
    [(count,)] = await (await connection.execute(b"SELECT count(*) FROM orders")).fetchall()
    assert count == 1


async def test_a_database_that_is_away_at_the_start_is_waited_for(config: ExchangeConfig, running: Running) -> None:
    nowhere = make_conninfo(config.postgres_dsn, host=str(Path("/nowhere")))
    async with running(msgspec.structs.replace(config, postgres_dsn=nowhere)) as exchange:
        assert not exchange.ready
        assert not exchange.components()["database"].ok
        with pytest.raises(ExecutionUnavailable, match="database"):
            await exchange.submit(order("x"), key_id=None)


async def test_a_wait_is_cut(connection: Connection) -> None:
    start = time.monotonic()
    with pytest.raises(psycopg.OperationalError), cut_after(connection, 0.2):
        await connection.execute("SELECT pg_sleep(4)")
    assert time.monotonic() - start < 1


def test_what_a_dsn_sets_itself_stays() -> None:
    text = bounded("host=h connect_timeout=9 options='-c work_mem=1MB'", statement_timeout=1.5, name="n")
    found = conninfo_to_dict(text)
    assert found["connect_timeout"] == "9"
    assert "statement_timeout=1500" in str(found["options"])
    assert str(found["options"]).endswith("-c work_mem=1MB")
