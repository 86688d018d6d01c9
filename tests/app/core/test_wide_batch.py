"""One command that leads to very many events: its commit gets the time it needs, or it would fail for ever."""

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import msgspec

from app.commands import CancelAll, NewOrder, Side, Status
from app.database import Connection
from app.exchange_config import ExchangeConfig
from app.money import parse_units
from app.wal import MOST_EVENTS
from tests.app.core.conftest import TestExchange

Running = Callable[[ExchangeConfig], AbstractAsyncContextManager[TestExchange]]

SLOW = f"""CREATE FUNCTION slow() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF (SELECT count(*) FROM added) > {MOST_EVENTS} THEN PERFORM pg_sleep(0.8); END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER slow AFTER INSERT ON order_wal REFERENCING NEW TABLE AS added FOR EACH STATEMENT EXECUTE FUNCTION slow()"""  # noqa: S608 - a number of ours


async def test_a_wide_batch_may_take_the_server_longer_than_others(
    config: ExchangeConfig, running: Running, connection: Connection
) -> None:
    await connection.execute(SLOW.encode())
    count = MOST_EVENTS // 2 + 1
    async with running(msgspec.structs.replace(config, commit_timeout=0.5, submit_timeout=10.0)) as exchange:
        tenure = exchange._supervisor.current()
        for first in range(0, count, 500):
            orders = [_order(f"order-{number}") for number in range(first, min(count, first + 500))]
            await asyncio.gather(*[exchange.submit(order, key_id=None) for order in orders])
        answers = await exchange.cancel_all(CancelAll(account="main"))
        assert [answer.status for answer in answers] == [Status.CANCELLED] * count
        assert exchange._supervisor.current() is tenure


def _order(name: str) -> NewOrder:
    qty, price = parse_units("0.001"), parse_units("5")
    return NewOrder(account="main", client_order_id=name, side=Side.BUY, symbol="BTCUSDT", qty=qty, price=price)
