"""A clock that jumps: the engine's own never goes back, so it has to be another engine."""

import time

import pytest

from app.commands import NewOrder, Side, Status
from app.errors import VelozError
from app.money import parse_units
from tests.app.core.conftest import TestExchange, until

HOUR = 3600 * 10**9


async def test_a_clock_that_was_an_hour_ahead_does_not_stop_the_order_rate_for_an_hour(
    exchange: TestExchange, monkeypatch: pytest.MonkeyPatch
) -> None:
    await exchange.set_limits("main", {"order_rate": 2})
    true = time.time_ns
    monkeypatch.setattr(time, "time_ns", lambda: true() + HOUR)
    assert (await exchange.submit(_order("ahead"), key_id=None)).status == Status.ACCEPTED
    engine = exchange._supervisor.current().engine_pid
    seen = exchange._supervisor.membership.renewal
    await until(lambda: exchange._supervisor.membership.renewal is not seen)  # the heart beat meanwhile
    monkeypatch.setattr(time, "time_ns", true)
    await until(lambda: exchange.ready and exchange._supervisor.current().engine_pid != engine)
    for name in ("one", "two"):
        assert (await exchange.submit(_order(name), key_id=None)).status == Status.ACCEPTED
    with pytest.raises(VelozError, match="ORDER_RATE"):
        await exchange.submit(_order("three"), key_id=None)


def _order(name: str) -> NewOrder:
    return NewOrder(
        account="main",
        client_order_id=name,
        side=Side.BUY,
        symbol="BTCUSDT",
        qty=parse_units("1"),
        price=parse_units("5"),
    )
