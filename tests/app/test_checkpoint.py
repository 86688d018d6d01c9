from app.checkpoint import read_state, write_state
from app.fold import Order, Position, State


def test_a_state_reads_back_as_it_was_written() -> None:
    one = Order(
        "x",
        "BTCUSDT",
        "BUY",
        "STOP_LIMIT",
        "GTD",
        "NONE",
        9,
        8,
        7,
        6,
        "ACCEPTED",
        triggered=True,
        rank=4,
        executed=3,
        notional=2,
    )
    two = Order(
        "y",
        "BTCUSDT",
        "SELL",
        "LIMIT",
        "GTC",
        "NONE",
        5,
        6,
        0,
        0,
        "PARTIALLY_FILLED",
        triggered=False,
        rank=2,
        executed=1,
    )
    state = State(
        "main",
        trades=3,
        totals={"BTC": 1, "USDT": -2},
        positions={"BTCUSDT": Position(-1, 2, -3, 4, 5)},
        orders={"x": one, "y": two},
    )
    again = read_state(write_state(state))
    assert again == state
    assert again.digest() == state.digest()
