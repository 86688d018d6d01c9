"""The readers' connections: whatever becomes of one, the others serve."""

import asyncio
import os
import signal

import msgspec
import pytest

from app.commands import Cancel, NewOrder, Side, Status
from app.database import Connection
from app.errors import ExecutionUnavailable
from app.lookup import Known
from app.money import parse_units
from tests.app.core.conftest import TestExchange, until

ORDER = NewOrder(
    account="main", client_order_id="one", side=Side.BUY, symbol="BTCUSDT", qty=parse_units("1"), price=parse_units("5")
)
_READERS = """SELECT pid FROM pg_stat_activity WHERE application_name LIKE 'veloz reader%' AND datname = current_database()
ORDER BY pid LIMIT 1"""


async def test_a_reader_that_hangs_keeps_no_recovery_from_its_end(
    exchange: TestExchange, connection: Connection
) -> None:
    row = await (await connection.execute(_READERS.encode())).fetchone()
    assert row is not None
    os.kill(row[0], signal.SIGSTOP)
    try:
        os.kill(exchange._supervisor.current().engine_pid, signal.SIGKILL)
        await until(lambda: not exchange.ready)
        await until(lambda: exchange.ready, 3)
        assert (await exchange.submit(ORDER, key_id=None)).status == Status.ACCEPTED
    finally:
        os.kill(row[0], signal.SIGCONT)


async def test_a_look_up_has_all_of_its_time(exchange: TestExchange, connection: Connection) -> None:
    """What waiting for a connection does not take is the query's."""
    async with connection.transaction():
        await connection.execute("LOCK TABLE orders IN ACCESS EXCLUSIVE MODE")
        asked = asyncio.create_task(exchange._lookup.find("main", "one"))
        await asyncio.sleep(0.7 * exchange._config.lookup_timeout)
    assert await asked is None


async def test_one_damaged_row_harms_no_other_order(exchange: TestExchange, connection: Connection) -> None:
    await exchange.submit(ORDER, key_id=None)
    await connection.execute("UPDATE orders SET answer = '{}'")
    with pytest.raises(ExecutionUnavailable, match="order one is damaged"):
        await exchange.submit(ORDER, key_id=None)
    other = msgspec.structs.replace(ORDER, client_order_id="two")
    assert (await exchange.submit(other, key_id=None)).status == Status.ACCEPTED


async def test_a_cancel_that_overtakes_its_order_cancels_it(
    exchange: TestExchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The cancel meets the engine before the order, the look-up after it."""
    find = exchange._lookup.find

    async def find_late(account: str, client_order_id: str) -> Known | None:
        monkeypatch.undo()
        await exchange.submit(ORDER, key_id=None)
        return await find(account, client_order_id)

    monkeypatch.setattr(exchange._lookup, "find", find_late)
    gone = await exchange.cancel(Cancel(account="main", client_order_id=ORDER.client_order_id))
    assert gone.status == Status.CANCELLED
