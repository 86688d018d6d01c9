from typing import Any

import pytest

from app.commands import Amend, Cancel, CancelAll, NewOrder, OrderType, Side, TimeInForce
from app.errors import BadParams
from app.limits import Limits
from app.wire import amend_line, answer_of, cancel_all_line, cancel_line, limits_line, order_line, read_event


def order(**changes: Any) -> NewOrder:  # noqa: ANN401 - fields of several types
    given: dict[str, Any] = {
        "account": "main",
        "client_order_id": "x",
        "side": Side.BUY,
        "symbol": "BTCUSDT",
        "qty": 50_000_000,
        "price": 10,
    }
    return NewOrder(**{**given, **changes})


def test_an_event_is_kept_as_the_engine_wrote_it_but_for_its_number() -> None:
    line = b'{"type":"fill","req":17,"account":"main","ts_ns":5,"client_order_id":"x","qty":0.10000001,"price":-0}'
    number, event = read_event(line)
    assert number == 17
    assert event.payload == line.replace(b',"req":17', b"")
    assert (event.type, event.account, event.client_order_id, event.ts_ns) == ("fill", "main", "x", 5)


def test_an_event_without_number_is_kept_whole() -> None:
    line = b'{"type":"ready","version":"1","protocol":1}'
    assert read_event(line)[0] is None
    assert read_event(line)[1].payload == line


def test_an_order_is_one_line() -> None:
    assert order_line(order()) == "ORDER BUY BTCUSDT 0.5 0.0000001 x LIMIT GTC acct=main stp=CANCEL_NEWEST"
    full = order(order_type=OrderType.STOP_LIMIT, tif=TimeInForce.GTD, stop_price=3 * 10**8, expire_ts_ns=7)
    assert order_line(full).endswith("x STOP_LIMIT GTD acct=main stp=CANCEL_NEWEST stop=3 expire=7")


@pytest.mark.parametrize("evil", ["", "a b", "x\nCANCEL y", "x acct=other", "é", "a" * 65, "x\x00"])
@pytest.mark.parametrize("field", ["account", "client_order_id", "symbol"])
def test_nothing_but_a_token_gets_into_a_line(field: str, evil: str) -> None:
    with pytest.raises(BadParams, match=field):
        order_line(order(**{field: evil}))


def test_commands_are_one_line_each() -> None:
    assert cancel_line(Cancel(account="a", client_order_id="x")) == "CANCEL x reason=USER acct=a"
    assert cancel_all_line(CancelAll(account="a", symbol="S", reason="R")) == "CANCEL_ALL reason=R acct=a symbol=S"
    assert (
        amend_line(Amend(account="a", client_order_id="x", qty=10**8, stop_price=5))
        == "AMEND x qty=1 stop=0.00000005 acct=a"
    )
    with pytest.raises(BadParams, match="at least one of"):
        amend_line(Amend(account="a", client_order_id="x"))


def test_limits_are_one_line_with_counts_whole() -> None:
    line = limits_line("a", Limits(maker_fee_bps=750_000_000, max_open_orders=3, kill=True))
    assert line.startswith("LIMITS acct=a daily_loss=0 maker_fee_bps=7.5 ")
    assert " max_open_orders=3 " in line
    assert line.endswith(" kill=1")


def test_an_answer_has_the_amounts_digit_by_digit() -> None:
    payload = (
        b'{"type":"order_state","account":"a","client_order_id":"x","venue_order_id":null,"status":"FILLED","reason":"",'
        b'"executed_qty":92233720368.54775807,"executed_notional":0.1}'
    )
    answer = answer_of(payload, 9)
    assert (answer.executed_qty, answer.executed_notional, answer.seq) == (2**63 - 1, 10_000_000, 9)
