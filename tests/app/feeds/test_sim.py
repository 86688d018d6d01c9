import asyncio
import itertools
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import aclosing
from random import Random

import pytest

from app.feeds import SymbolSpec
from app.feeds.sim import SimFeed
from app.feeds.walk import LEVELS, SNAPSHOT_EVERY
from app.money import SCALE, parse_units

BTCUSDT = SymbolSpec(symbol="BTCUSDT", base="BTC", quote="USDT", tick=1_000_000, lot=1_000)
TINY = SymbolSpec(symbol="TINYUSDT", base="TINY", quote="USDT", tick=SCALE // 100, lot=SCALE)
STEPS = 3000

Levels = dict[int, int]


def steps(count: int, *symbols: SymbolSpec, seed: int = 1, first: int = 0) -> list[str]:
    feed = SimFeed(symbols, seed=seed)
    return [line for step in itertools.islice(feed.lines(first), count) for line in step]


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


@pytest.mark.parametrize("first", [0, 4_488_731_337])
@pytest.mark.parametrize("spec", [BTCUSDT, TINY])
def test_the_book_stays_contiguous_uncrossed_and_on_the_grid_and_prints_at_its_touch(
    spec: SymbolSpec, first: int
) -> None:
    bids: Levels = {}
    asks: Levels = {}
    last_id = first
    sides = []
    for line in steps(STEPS, spec, first=first):
        words = line.split()
        if words[0] == "DEPTH":
            first_id, last_id = (last_id + 1 if words[2] == "SNAPSHOT" else int(words[3])), last_id + 1
            assert first_id == last_id == int(words[-3])
            if words[2] == "SNAPSHOT":
                bids, asks = {}, {}
            bids, asks = merge(bids, levels(words[-2])), merge(asks, levels(words[-1]))
            assert len(bids) == len(asks) == LEVELS
            assert 0 < max(bids) < min(asks)
            assert all(price % spec.tick == 0 for price in [*bids, *asks])
            assert all(qty % spec.lot == 0 for qty in [*bids.values(), *asks.values()])
        else:
            price, qty = parse_units(words[2]), parse_units(words[3])
            sides.append("BUY" if price == min(asks) else "SELL")
            assert 0 < qty <= (asks[price] if sides[-1] == "BUY" else bids[price])
            assert price == (min(asks) if sides[-1] == "BUY" else max(bids))
    assert sides == (["BUY", "SELL"] if first % 2 == 0 else ["SELL", "BUY"]) * (STEPS // 2)


def test_the_whole_book_comes_again_every_so_many_steps() -> None:
    books = [line.split()[2] for line in steps(3 * SNAPSHOT_EVERY, BTCUSDT) if line.startswith("DEPTH")]
    assert [n for n, kind in enumerate(books) if kind == "SNAPSHOT"] == [0, SNAPSHOT_EVERY, 2 * SNAPSHOT_EVERY]


def test_a_feed_that_begins_later_has_the_same_market() -> None:
    """Its first book is whole; from the next whole one on, both give the same lines."""
    for first in range(1, 12):
        early, late = steps(40, BTCUSDT)[2 * first :], steps(40 - first, BTCUSDT, first=first)
        assert late[0].split()[2:4] == ["SNAPSHOT", str(first + 1)]
        assert late[1:] == early[1:]


def mids(count: int, spec: SymbolSpec = BTCUSDT, seed: int = 1) -> Iterator[int]:
    """At steps far apart, ten million in all."""
    (walk,) = SimFeed([spec], seed=seed).walks()
    rng = Random(seed)
    return (walk.mid(rng.randrange(10_000_000)) for _ in range(count))


@pytest.mark.parametrize("seed", range(5))
def test_the_price_stays_within_a_few_per_cent_of_where_it_was_told_to_start(seed: int) -> None:
    start = 40_000 * SCALE // BTCUSDT.tick
    seen = list(mids(5_000, seed=seed))
    assert start * 0.968 <= min(seen) < start * 0.995
    assert start * 1.005 < max(seen) <= start * 1.032
    feed = SimFeed([BTCUSDT], seed=seed, start_prices={"BTCUSDT": 7_000 * SCALE})
    price = parse_units(next(feed.lines())[1].split()[2])
    assert abs(price - 7_000 * SCALE) < 7_000 * SCALE * 0.033


@pytest.mark.parametrize("spec", [BTCUSDT, TINY])
def test_a_step_moves_the_price_a_little(spec: SymbolSpec) -> None:
    (walk,) = SimFeed([spec], seed=1).walks()
    for first in (0, 32_760, 4_488_731_337):
        path = [walk.mid(number) for number in range(first, first + 2_000)]
        moves = [abs(after - before) for before, after in itertools.pairwise(path)]
        assert max(moves) <= max(path) * 0.0002 + 1
        assert len(set(path)) > (1_000 if spec is BTCUSDT else 20)


class Clock:
    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


async def step_of(commands: AsyncIterator[str]) -> tuple[str, int]:
    """Of the next step: whether its book is whole, and its number."""
    words = (await anext(commands)).split()
    assert (await anext(commands)).startswith("TRADE")
    return words[2], int(words[-3]) - 1


async def test_it_begins_with_the_step_under_way_and_is_on_time_with_each() -> None:
    clock = Clock(1000.0505)
    feed = SimFeed([BTCUSDT], seed=1, rate=2_000, clock=clock)  # a step a millisecond
    async with aclosing(feed.commands()) as commands:
        assert await step_of(commands) == ("SNAPSHOT", 1_000_050)
        for number in range(1_000_051, 1_000_055):
            assert await step_of(commands) == ("UPDATE", number)
        clock.now = 1000.0605
        assert await step_of(commands) == ("SNAPSHOT", 1_000_055), "a hiccup is made up for"
        assert await step_of(commands) == ("UPDATE", 1_000_056)
        clock.now = 1010.0005
        assert await step_of(commands) == ("SNAPSHOT", 1_010_000), "a stall is not"
        assert await step_of(commands) == ("UPDATE", 1_010_001)


async def test_a_clock_that_is_set_back_does_not_silence_it() -> None:
    clock = Clock(1000.0005)
    async with aclosing(SimFeed([BTCUSDT], seed=1, rate=2_000, clock=clock).commands()) as commands:
        assert await step_of(commands) == ("SNAPSHOT", 1_000_000)
        clock.now = 400.0015
        assert await step_of(commands) == ("SNAPSHOT", 400_001)
        assert await step_of(commands) == ("UPDATE", 400_002)


async def test_a_slow_market_has_its_books_at_once() -> None:
    async with asyncio.timeout(1), aclosing(SimFeed([BTCUSDT, TINY], seed=1, rate=0.001).commands()) as commands:
        lines = [await anext(commands) for _ in range(4)]
    assert [line.split()[:2] for line in lines if "SNAPSHOT" in line] in (
        [["DEPTH", "BTCUSDT"], ["DEPTH", "TINYUSDT"]],
        [["DEPTH", "TINYUSDT"], ["DEPTH", "BTCUSDT"]],
    )


async def test_gateways_that_start_at_different_times_show_one_market_at_one_time() -> None:
    async def watch(feed: SimFeed, until: float) -> dict[tuple[str, int], tuple[str, str, float]]:
        """Of each symbol's step: its book or what changed, its print, and when that came."""
        seen = {}
        async with aclosing(feed.commands()) as commands:
            while time.time() < until:
                depth, trade = await anext(commands), await anext(commands)
                words = depth.split()
                seen[words[1], int(words[-3])] = (depth, trade, time.time())
        return seen

    def feed() -> SimFeed:
        return SimFeed([BTCUSDT, TINY], seed=7, rate=100)

    end = time.time() + 1.0
    first = asyncio.create_task(watch(feed(), end))
    await asyncio.sleep(0.317)
    second = await watch(feed(), end)
    both = (await first).keys() & second.keys()
    assert len(both) > 40
    begun = {symbol: min(number for name, number in second if name == symbol) for symbol, _ in second}
    for symbol, number in both:
        (depth, trade, when), (other_depth, other_trade, other) = first.result()[symbol, number], second[symbol, number]
        assert trade == other_trade
        assert depth == other_depth or number == begun[symbol]
        assert abs(when - other) < 0.3


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
