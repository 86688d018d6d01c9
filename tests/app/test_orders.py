"""An order body becomes an order with the protocol's defaults, or is refused by the rule it breaks."""

from __future__ import annotations

from typing import Any

import pytest

from app.commands import NewOrder, OrderType, TimeInForce
from app.errors import BadParams
from app.orders import AmendBody, OrderBody, amendment, new_order
from app.params import to_struct

LIMIT = {"side": "BUY", "symbol": "BTCUSDT", "qty": "0.5", "price": "39000", "client_order_id": "a"}


def order(**changes: str | int | None) -> NewOrder:
    fields = {name: value for name, value in (LIMIT | changes).items() if value is not None}
    return new_order(to_struct(fields, OrderBody, text=False), "main")


def test_a_limit_order_is_good_till_cancelled_by_default() -> None:
    made = order()
    assert (made.order_type, made.tif, made.qty, made.price) == (
        OrderType.LIMIT,
        TimeInForce.GTC,
        50_000_000,
        39000 * 10**8,
    )
    assert made.account == "main"


def test_words_are_taken_in_lower_case_too_and_mean_the_same() -> None:
    assert order(side="buy", type="limit", tif="gtc", stp="none") == order(type="LIMIT", tif="GTC", stp="NONE")


def test_a_market_order_is_immediate_however_it_is_said() -> None:
    market = order(type="MARKET", price=None)
    assert market.tif is TimeInForce.IOC
    assert market == order(type="MARKET", price="0", tif="GTC")
    assert market.digest() == order(type="market", price=None, tif="IOC").digest()


def test_an_order_without_an_id_gets_one_of_its_own() -> None:
    first, second = order(client_order_id=None), order(client_order_id=None)
    assert len(first.client_order_id) == 32
    assert first.client_order_id != second.client_order_id


def test_a_stop_limit_has_both_prices() -> None:
    made = order(type="STOP_LIMIT", stop_price="40000")
    assert (made.stop_price, made.price) == (40000 * 10**8, 39000 * 10**8)


def test_the_digest_is_that_of_plain_values() -> None:
    """What came through the edge equals what anybody else builds."""
    assert (
        order().digest()
        == NewOrder(
            account="main",
            client_order_id="a",
            side=order().side,
            symbol="BTCUSDT",
            qty=50_000_000,
            price=39000 * 10**8,
        ).digest()
    )
    assert all(
        type(value) in {str, int, type(None)} or value.__class__.__module__ == "app.commands"
        for value in (getattr(order(), name) for name in NewOrder.__struct_fields__)
    )


@pytest.mark.parametrize(
    ("changes", "rule"),
    [
        ({"qty": "0"}, "qty is 0"),
        ({"price": None}, "price is missing"),
        ({"price": "0"}, "price is 0"),
        ({"type": "MARKET"}, "price is given"),
        ({"type": "STOP", "price": None}, "stop_price is missing"),
        ({"type": "STOP", "stop_price": "1"}, "price is given"),
        ({"stop_price": "1"}, "stop_price is given"),
        ({"tif": "GTD"}, "expire_ts is missing"),
        ({"expire_ts": "5"}, "expire_ts is given"),
        ({"type": "MARKET", "price": None, "tif": "GTX"}, "takes FOK, GTC, IOC"),
        ({"type": "STOP", "price": None, "stop_price": "1", "tif": "IOC"}, "takes GTC, GTD"),
        ({"side": "Buy"}, "side"),
        ({"side": "HOLD"}, "side"),
        ({"symbol": "BTC\nORDER SELL"}, "symbol"),
        ({"symbol": "BTCUSDT\n"}, "symbol"),
        ({"client_order_id": ""}, "client_order_id"),
        ({"qty": "-1"}, "qty"),
        ({"qty": "1e5"}, "qty"),
        ({"qty": 5}, "qty"),
        ({"unknown": "1"}, "unknown"),
    ],
)
def test_an_order_against_the_rules_is_refused(changes: dict[str, Any], rule: str) -> None:
    with pytest.raises(BadParams, match=rule):
        order(**changes)


@pytest.mark.parametrize(
    ("fields", "rule"), [({}, "at least one"), ({"qty": "0"}, "qty is 0"), ({"price": "0"}, "price is 0")]
)
def test_an_amendment_changes_something(fields: dict[str, str], rule: str) -> None:
    with pytest.raises(BadParams, match=rule):
        amendment(to_struct({"client_order_id": "a", **fields}, AmendBody, text=False), "main")
