"""Where the smoke test bids, and which refusals count."""

from __future__ import annotations

from decimal import Decimal

import pytest

from app.settings import Instrument
from stacks.commands.resting import bid, refusal

TOLD = {"error": "risk_rejected", "message": "refused", "reason": "KILL_SWITCH", "seq": 7}


@pytest.mark.parametrize(
    ("band", "price"),
    [
        ("0", "20000"),  # no band
        ("10000", "20000"),
        ("6250", "20000"),
        ("5000", "24000"),
        ("200", "39360"),
        ("125", "39600"),
        ("124.99", "20000"),  # so near it might trade
        ("0.00000001", "20000"),
    ],
)
def test_a_bid_is_in_the_band_and_far_from_the_market(band: str, price: str) -> None:
    order = bid("BTCUSDT", Decimal(40_000), Decimal(band))
    assert Decimal(order["price"]) == Decimal(price)
    assert order.keys() == {"side", "symbol", "type", "qty", "price"}


def test_it_is_in_the_symbols_steps() -> None:
    order = bid("X", Decimal("9.99"), Decimal(200), [Instrument("X", "A", "B", tick="0.05", lot="0.1")])
    assert order == {"side": "BUY", "symbol": "X", "type": "LIMIT", "qty": "10.0", "price": "9.80"}
    assert bid("X", Decimal("0.01"), Decimal(), [Instrument("X", "A", "B", tick="0.05")])["price"] == "0.05"


def test_what_risk_checks_decided_is_known() -> None:
    assert refusal(422, TOLD) == "KILL_SWITCH"


@pytest.mark.parametrize(
    ("status", "body"),
    [
        (503, TOLD),
        (200, TOLD),
        (422, "refused"),
        (422, TOLD | {"error": "bad_params"}),
        (422, TOLD | {"seq": None}),
        (422, {"error": "risk_rejected", "reason": "KILL_SWITCH"}),
        (422, TOLD | {"reason": "UNKNOWN_SYMBOL"}),
        (422, TOLD | {"reason": "BAD_TICK"}),
        (422, TOLD | {"reason": None}),
    ],
)
def test_what_is_no_decision_of_theirs_is_none(status: int, body: object) -> None:
    assert refusal(status, body) is None
