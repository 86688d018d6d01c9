import pytest

from app.errors import BadParams
from app.limits import Limits


def test_a_change_keeps_the_rest() -> None:
    limits = Limits(max_notional=5, kill=True).changed({"order_rate": 3})
    assert limits == Limits(max_notional=5, order_rate=3, kill=True)


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"max_cheese": 1}, "'max_cheese' is not a limit"),
        ({"kill": 1}, "'kill' is not a limit"),
        ({"max_notional": -1}, "max_notional is -0.00000001, it must be from 0 to 92233720368.54775807"),
        ({"taker_fee_bps": 1_000_100_000_000}, "taker_fee_bps is 10001, it must be from 0 to 10000"),
        ({"order_rate": -1}, "order_rate is -1"),
    ],
)
def test_a_wrong_limit_is_refused_by_name_value_and_rule(changes: dict[str, int], why: str) -> None:
    with pytest.raises(BadParams, match=why):
        Limits().changed(changes)


def test_limits_read_back_as_they_were_written() -> None:
    limits = Limits(maker_fee_bps=750_000_000, max_open_orders=7, daily_loss=2**63 - 1)
    assert limits.texts()["maker_fee_bps"] == "7.5"
    assert Limits.from_texts(limits.texts(), kill=False) == limits
