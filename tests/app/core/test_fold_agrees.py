"""The fold against the engine: random lives of three accounts, and equal digests at every stop."""

import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from app.engine import Engine
from app.fold import State, fold
from app.recovery import FOLDED
from app.wire import decode_accounting, decode_hash

ACCOUNTS = ("a", "b", "c")
SYMBOLS = {"BTCUSDT": ("BTC", "USDT"), "ETHBTC": ("ETH", "BTC")}
STOPS, COMMANDS = 25, 400


def setting_up() -> Iterator[str]:
    for symbol, (base, quote) in SYMBOLS.items():
        yield f"SYMBOL {symbol} base={base} quote={quote} tick=0.01 lot=0.001"
    for account, fee in zip(ACCOUNTS, ("0", "7.5", "250"), strict=True):
        yield f"ACCOUNT {account}"
        yield f"LIMITS acct={account} maker_fee_bps={fee} taker_fee_bps={fee} max_open_orders=30"
        for asset in ("BTC", "USDT", "ETH"):
            yield f"DEPOSIT {asset} 5000 acct={account}"


def life(rng: random.Random, clock: Iterator[int]) -> Iterator[str]:
    ids: list[str] = []
    for now in clock:
        account, symbol = rng.choice(ACCOUNTS), rng.choice(list(SYMBOLS))
        price, qty = rng.randrange(900, 1100) / 100, rng.randrange(1, 3000) / 1000
        match rng.randrange(12):
            case 0 | 1:
                line = f"TRADE {symbol} {price} {qty}"
            case 2:
                line = f"QUOTE {symbol} {price} {qty} {price + 0.02:.2f} {rng.randrange(1, 3000) / 1000}"
            case 3 if ids:
                line = f"CANCEL {rng.choice(ids)} acct={account}"
            case 4 if ids:
                line = f"AMEND {rng.choice(ids)} qty={qty} {rng.choice(['', f'price={price}'])} acct={account}"
            case 5:
                line = f"{rng.choice(['DEPOSIT', 'WITHDRAW'])} {rng.choice(['BTC', 'USDT'])} {qty} acct={account}"
            case _:
                ids.append(f"o{now}")
                line = f"ORDER {rng.choice(['BUY', 'SELL'])} {symbol} {qty} {kind(rng, price, now, ids[-1])} acct={account}"
        yield f"{line} ts={now}"


def kind(rng: random.Random, price: float, now: int, order_id: str) -> str:
    stop = f"stop={rng.randrange(900, 1100) / 100}"
    until = f"expire={now + rng.randrange(1, 200) * DAY // 50}"
    stp = rng.choice(["stp=NONE", ""])
    return rng.choice(
        [
            f"{price} {order_id} LIMIT GTC {stp}",
            f"{price} {order_id} LIMIT GTD {until}",
            f"{price} {order_id} LIMIT {rng.choice(['IOC', 'FOK', 'GTX'])}",
            f"0 {order_id} MARKET {stp}",
            f"0 {order_id} STOP {stop}",
            f"{price} {order_id} STOP_LIMIT GTC {stop}",
        ]
    )


DAY = 86_400 * 10**9


@pytest.mark.parametrize("seed", range(4))
async def test_the_fold_of_the_events_is_the_state_of_the_engine(engine_binary: Path, seed: int) -> None:
    rng = random.Random(seed)
    states = {account: State(account) for account in ACCOUNTS}
    commands = life(rng, iter(range(DAY, DAY * 10**6, DAY // 50)))  # 50 a day, so that days change
    engine = await Engine.start(engine_binary, 5)
    try:
        lines = [f"{line} ts=0" for line in setting_up()]
        for _ in range(STOPS):
            batch = await engine.ask(lines, 30)
            for event in batch.events:
                if event.type in FOLDED and event.account is not None:
                    fold(states[event.account], [decode_accounting(event.payload)], SYMBOLS)
            for account, state in states.items():
                [answer] = (await engine.ask([f"HASH {account} ts=0"], 5)).events
                assert state.digest() == decode_hash(answer.payload).hash, state.canonical()
            lines = [next(commands) for _ in range(COMMANDS)]
    finally:
        await engine.stop()
    assert all(state.trades > 100 for state in states.values())
    assert any(state.orders for state in states.values())
    assert any(position.realised for state in states.values() for position in state.positions.values())
