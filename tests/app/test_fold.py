import json

import pytest

from app.fold import DAY_NS, FoldError, Position, State, fold, trade
from app.wire import Accounting, decode_accounting

SYMBOLS = {"BTCUSDT": ("BTC", "USDT")}


AMOUNTS = ("qty", "price", "fee", "amount", "stop_price")


def event(kind: str, **fields: str | int | bool) -> Accounting:
    """An event as the engine writes it; amounts are given as text and stand as numbers."""
    text = json.dumps({"type": kind, "account": "a", "ts_ns": DAY_NS, **fields})
    for name in AMOUNTS:
        text = text.replace(f'"{name}": "{fields.get(name)}"', f'"{name}": {fields.get(name)}')
    found: Accounting = decode_accounting(text.encode())
    return found


def transfer(asset: str, amount: str) -> Accounting:
    return event("transfer", asset=asset, amount=amount, ref="")


def update(order: str, status: str, **changes: str | int | bool) -> Accounting:
    usual: dict[str, str | int | bool] = {"symbol": "BTCUSDT", "side": "BUY", "qty": "1", "price": "100", "rank": 1}
    usual |= {"order_type": "LIMIT", "tif": "GTC", "stp": "CANCEL_NEWEST", "triggered": False}
    return event("order_update", client_order_id=order, status=status, **{**usual, **changes})


def fill(order: str, trade_id: int, qty: str, price: str, **changes: str | int) -> Accounting:
    usual: dict[str, str | int] = {"symbol": "BTCUSDT", "side": "BUY", "fee": "0", "fee_asset": "BTC"}
    usual |= {"liquidity": "maker", "trade_id": trade_id, "qty": qty, "price": price}
    return event("fill", client_order_id=order, **{**usual, **changes})


def folded(*events: Accounting) -> State:
    state = State("a")
    fold(state, events, SYMBOLS)
    return state


def test_a_bought_quantity_less_its_fee_becomes_balance_and_position() -> None:
    state = folded(
        transfer("USDT", "1000"),
        update("x", "ACCEPTED", qty="2"),
        fill("x", 1, "0.5", "100", fee="0.001"),
        update("x", "PARTIALLY_FILLED", qty="2"),
    )
    assert state.canonical() == (
        "veloz-state 1\naccount a\ntrades 1\n"
        "balance BTC 49900000\nbalance USDT 95000000000\n"
        "position BTCUSDT 49900000 5000000000 0 1 0\n"
        "order x BTCUSDT BUY LIMIT GTC 200000000 10000000000 0 0 50000000 5000000000 0 PARTIALLY_FILLED CANCEL_NEWEST\n"
    )
    assert state.locks(SYMBOLS) == {"USDT": 150_00000000}


def test_a_sale_turns_cost_into_profit() -> None:
    state = folded(
        transfer("USDT", "1000"),
        update("b", "ACCEPTED"),
        fill("b", 1, "1", "100"),
        update("b", "FILLED"),
        update("s", "ACCEPTED", side="SELL", price="110"),
        fill("s", 2, "1", "110", side="SELL", fee="0.5", fee_asset="USDT"),
        update("s", "FILLED", side="SELL", price="110"),
    )
    assert state.positions["BTCUSDT"] == Position(qty=0, cost=0, realised=9_50000000, day=1, day_realised=9_50000000)
    assert state.totals == {"USDT": 1009_50000000, "BTC": 0}
    assert not state.orders
    assert set(state.closed) == {"b", "s"}


@pytest.mark.parametrize(
    ("before", "qty", "cost", "after"),
    [
        (Position(), 5, 50, Position(5, 50)),
        (Position(5, 50), 3, 36, Position(8, 86)),
        (Position(3, 10), -1, -4, Position(2, 7, realised=1)),  # the cost part 10/3 is 3
        (Position(3, -10), -1, 4, Position(2, -7, realised=-1)),  # toward zero: -10/3 is -3
        (Position(2, 20), -5, -60, Position(-3, -36, realised=4)),  # through zero: 2 of 5 close for 24
        (Position(-3, -36), 3, 30, Position(0, 0, realised=6)),
        (Position(4, 40), 0, 7, Position(4, 40, realised=-7)),  # the fee took all
    ],
)
def test_a_position_follows_its_trades(before: Position, qty: int, cost: int, after: Position) -> None:
    trade(before, qty, cost, 0)
    after.day_realised = after.realised
    assert before == after


def test_the_profit_of_a_day_begins_anew_on_another_day() -> None:
    position = Position(qty=2, cost=20, realised=5, day=3, day_realised=5)
    trade(position, -1, -12, 4 * DAY_NS)
    assert position == Position(qty=1, cost=10, realised=7, day=4, day_realised=2)


def test_open_orders_stand_in_rank_order_and_an_amended_one_keeps_what_it_executed() -> None:
    state = folded(
        transfer("USDT", "1000"),
        update("x", "ACCEPTED", rank=1),
        update("y", "ACCEPTED", rank=2),
        fill("x", 1, "0.4", "100"),
        update("x", "PARTIALLY_FILLED", rank=1),
        update("x", "PARTIALLY_FILLED", qty="3", price="90", rank=3, reason="AMENDED"),
    )
    assert [order.client_order_id for order in state.ranked()] == ["y", "x"]
    assert state.orders["x"].executed == 40000000
    assert state.locks(SYMBOLS) == {"USDT": (100 * 10 + 90 * 26) * 10000000}


def test_a_lock_is_rounded_up_and_a_stop_locks_at_its_stop() -> None:
    state = folded(
        update("x", "ACCEPTED", qty="0.00000001", price="0.5"),
        update("y", "ACCEPTED", qty="2", price="0", rank=2, order_type="STOP", stop_price="7"),
        update("z", "ACCEPTED", side="SELL", qty="3", price="1", rank=3),
    )
    assert state.locks(SYMBOLS) == {"USDT": 1 + 14_00000000, "BTC": 3_00000000}


@pytest.mark.parametrize(
    ("events", "why"),
    [
        ([update("x", "FILLED")], "becomes FILLED without having been open"),
        ([update("x", "ACCEPTED"), update("x", "CANCELLED"), update("x", "ACCEPTED")], "after it was closed"),
        ([fill("x", 1, "1", "100")], "not such an open order"),
        ([update("x", "ACCEPTED", symbol="OTHER"), fill("x", 1, "1", "100")], "not such an open order"),
        ([update("x", "ACCEPTED"), fill("x", 2, "1", "100")], "comes where 1 is due"),
        ([update("x", "ACCEPTED"), fill("x", 1, "1", "100", fee="1", fee_asset="USDT")], "not in the asset received"),
    ],
)
def test_what_cannot_follow_is_refused(events: list[Accounting], why: str) -> None:
    with pytest.raises(FoldError, match=why):
        folded(*events)


def test_an_event_of_another_account_is_refused() -> None:
    state = State("b")
    with pytest.raises(FoldError, match="an event of a in the log of b"):
        fold(state, [transfer("USDT", "1")], SYMBOLS)
