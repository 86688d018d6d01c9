"""One command that leads to very many events: its commit gets the time it needs, or it would fail for ever."""

import time
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

import msgspec

from app.database import Connection
from app.exchange_config import ExchangeConfig
from app.tables import rows
from app.wal import MOST_EVENTS
from tests.app.core.conftest import TestExchange, place, resting

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
        await place(exchange, [resting(f"order-{number}") for number in range(count)])
        outcome = await tenure.request([f"CANCEL_ALL acct=main ts={time.time_ns()}"])
        assert len(outcome.entries) > MOST_EVENTS
        assert await rows(connection, b"SELECT DISTINCT status FROM orders") == [("CANCELLED",)]
        assert exchange._supervisor.current() is tenure
