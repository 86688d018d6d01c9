"""A commit that its standby did not confirm is no commit yet, though the server calls it one when its wait is cancelled."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from app.commands import NewOrder, Side, Status
from app.database import Connection, connect
from app.errors import ExecutionUnavailable, Unknown
from app.money import parse_units
from tests.app.core.conftest import TestExchange, until

ORDER = NewOrder(
    account="main", client_order_id="one", side=Side.BUY, symbol="BTCUSDT", qty=parse_units("1"), price=parse_units("5")
)


@pytest.fixture
async def server(postgres: str) -> AsyncIterator[Connection]:
    """A session that waits for no standby itself; at the end nobody does."""
    async with await connect(postgres, statement_timeout=5, name="test") as one:
        await one.execute("SET synchronous_commit = off")
        try:
            yield one
        finally:
            await await_standby(one, "")


async def await_standby(server: Connection, name: str) -> None:
    """From now on every commit waits for this standby, which there is not; with "" for none."""
    await server.execute(f"ALTER SYSTEM SET synchronous_standby_names = '{name}'")
    await server.execute("SELECT pg_reload_conf()")
    await until_true(server, "SELECT current_setting('synchronous_standby_names') = %s", name)


async def cancel_wait(server: Connection, session: str) -> None:
    query = """SELECT count(pg_cancel_backend(pid)) > 0 FROM pg_stat_activity
    WHERE application_name LIKE %s || '%%' AND wait_event = 'SyncRep'"""
    await until_true(server, query, session)


async def until_true(server: Connection, query: str, value: str) -> None:
    async with asyncio.timeout(5):
        while await (await server.execute(query.encode(), (value,))).fetchone() != (True,):  # noqa: ASYNC110
            await asyncio.sleep(0.01)


async def test_an_order_is_acknowledged_only_when_its_standby_confirmed_it(
    exchange: TestExchange, server: Connection
) -> None:
    await await_standby(server, "nobody")
    submitted = asyncio.create_task(exchange.submit(ORDER, key_id=None))
    await cancel_wait(server, "veloz committer")
    with pytest.raises(Unknown):
        await submitted
    await cancel_wait(server, "veloz keeper")  # a claim that is not confirmed is none: the order is not shown as there
    with pytest.raises(ExecutionUnavailable):
        await exchange.submit(ORDER, key_id=None)
    await await_standby(server, "")
    await until(lambda: exchange.ready)
    assert (await exchange.submit(ORDER, key_id=None)).status == Status.ACCEPTED


async def test_a_kill_switch_is_confirmed_by_the_standby_too(exchange: TestExchange, server: Connection) -> None:
    await await_standby(server, "nobody")
    set_kill = asyncio.create_task(exchange.set_kill("main", on=True))
    await cancel_wait(server, "veloz reader")
    with pytest.raises(Unknown):
        await set_kill
