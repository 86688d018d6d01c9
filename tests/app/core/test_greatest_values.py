"""The greatest values that are taken: what the engine accepts the tables hold, and a recovery reads."""

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager

from app.commands import NewOrder, Side, Status
from app.limits import AMOUNTS, COUNTS, FEES, MAX_FEE_BPS
from app.money import MAX_UNITS, format_units, parse_units
from tests.app.core.conftest import TestExchange

Running = Callable[[], AbstractAsyncContextManager[TestExchange]]


async def test_an_average_price_beyond_64_bits_does_not_end_recoveries(
    exchange: TestExchange, running: Running
) -> None:
    """The fee makes the position smaller than what was paid for, and so its price greater than any order's."""
    await exchange.set_limits("main", {"maker_fee_bps": parse_units("10")})
    greatest = parse_units(format_units(MAX_UNITS).partition(".")[0])
    order = NewOrder(
        account="main",
        client_order_id="dear",
        side=Side.BUY,
        symbol="BTCUSDT",
        qty=parse_units("0.00001"),
        price=greatest,
    )
    assert (await exchange.submit(order, key_id=None)).status == Status.ACCEPTED
    await exchange.print("1", "1")
    await exchange.close()
    async with running() as again:
        assert again.ready, again.components()


async def test_the_greatest_limits_are_limits(exchange: TestExchange, running: Running) -> None:
    greatest = {name: MAX_FEE_BPS if name in FEES else MAX_UNITS for name in AMOUNTS | COUNTS}
    limits = await exchange.set_limits("main", greatest)
    order = NewOrder(
        account="main",
        client_order_id="one",
        side=Side.SELL,
        symbol="BTCUSDT",
        qty=parse_units("1"),
        price=parse_units("5"),
    )
    assert (await exchange.submit(order, key_id=None)).status == Status.ACCEPTED
    await exchange.print("5", "1")
    await exchange.close()
    async with running() as again:
        assert again.ready, again.components()
        assert await again.limits("main") == limits
