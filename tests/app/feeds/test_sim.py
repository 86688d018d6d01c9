import itertools
import time
from contextlib import aclosing

import pytest

from app.feeds import SymbolSpec
from app.feeds.sim import SimFeed
from app.feeds.walk import SNAPSHOT_EVERY
from app.money import SCALE, parse_units

BTCUSDT = SymbolSpec(symbol="BTCUSDT", base="BTC", quote="USDT", tick=1_000_000, lot=1_000)
TINY = SymbolSpec(symbol="TINYUSDT", base="TINY", quote="USDT", tick=SCALE // 100, lot=SCALE)
STEPS = 3000

Levels = dict[int, int]


def steps(count: int, *symbols: SymbolSpec, seed: int = 1) -> list[str]:
    feed = SimFeed(symbols, seed=seed)
    return [line for step in itertools.islice(feed.lines(), count) for line in step]


def levels(text: str) -> Levels:
    pairs = [] if text == "-" else [pair.split(":") for pair in text.split(",")]
    return {parse_units(price): parse_units(qty) for price, qty in pairs}


def merge(side: Levels, changes: Levels) -> Levels:
    return {price: qty for price, qty in (side | changes).items() if qty}


def test_the_same_seed_gives_the_same_lines_and_another_gives_others() -> None:
    assert steps(100, BTCUSDT, TINY) == steps(100, BTCUSDT, TINY)
    assert steps(100, BTCUSDT) != steps(100, BTCUSDT, seed=2)


def test_a_symbols_lines_do_not_depend_on_the_others() -> None:
    together = [line for line in steps(200, TINY, BTCUSDT) if "BTCUSDT" in line]
    assert together == steps(100, BTCUSDT)


@pytest.mark.parametrize("spec", [BTCUSDT, TINY])
def test_the_book_stays_contiguous_uncrossed_and_on_the_grid_and_prints_at_its_touch(spec: SymbolSpec) -> None:
    bids: Levels = {}
    asks: Levels = {}
    last_id = 0
    sides = []
    for line in steps(STEPS, spec):
        words = line.split()
        if words[0] == "DEPTH":
            first, last_id = (last_id + 1 if words[2] == "SNAPSHOT" else int(words[3])), last_id + 1
            assert first == last_id == int(words[-3])
            if words[2] == "SNAPSHOT":
                bids, asks = {}, {}
            bids, asks = merge(bids, levels(words[-2])), merge(asks, levels(words[-1]))
            assert 0 < max(bids) < min(asks)
            assert all(price % spec.tick == 0 for price in [*bids, *asks])
            assert all(qty % spec.lot == 0 for qty in [*bids.values(), *asks.values()])
        else:
            price, qty = parse_units(words[2]), parse_units(words[3])
            sides.append("BUY" if price == min(asks) else "SELL")
            assert 0 < qty <= (asks[price] if sides[-1] == "BUY" else bids[price])
            assert price == (min(asks) if sides[-1] == "BUY" else max(bids))
    assert sides == ["BUY", "SELL"] * (STEPS // 2)


def test_the_whole_book_comes_again_every_so_many_steps() -> None:
    books = [line.split()[2] for line in steps(3 * SNAPSHOT_EVERY, BTCUSDT) if line.startswith("DEPTH")]
    assert [n for n, kind in enumerate(books) if kind == "SNAPSHOT"] == [0, SNAPSHOT_EVERY, 2 * SNAPSHOT_EVERY]


def test_the_price_starts_where_told_and_moves() -> None:
    feed = SimFeed([BTCUSDT], seed=1, start_prices={"BTCUSDT": 7_000 * SCALE})
    prints = [parse_units(step[1].split()[2]) for step in itertools.islice(feed.lines(), 500)]
    assert abs(prints[0] - 7_000 * SCALE) < 10 * SCALE
    assert len(set(prints)) > 100


async def test_the_rate_is_events_a_second_of_each_symbol() -> None:
    feed = SimFeed([BTCUSDT, TINY], seed=1, rate=100)
    started = time.monotonic()
    async with aclosing(feed.commands()) as commands:
        for _ in range(80):
            await anext(commands)
    assert 0.36 <= time.monotonic() - started < 2


def test_a_market_without_symbols_or_with_a_bad_rate_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one symbol"):
        SimFeed([], seed=1)
    with pytest.raises(ValueError, match="rate -1"):
        SimFeed([BTCUSDT], seed=1, rate=-1)
