"""A simulated market: one symbol's random walk on the tick grid, as the engine's commands. Pure, in whole numbers."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

from app.feeds import SymbolSpec
from app.money import SCALE, format_units

LEVELS = 10
SNAPSHOT_EVERY = 5
EVENTS_A_STEP = 2  # the book, then a print

_STEP_PPM = 200  # one step moves the price by at most 0.02 %, in proportion to the price
_RANGE = 4  # the walk is turned back at a quarter of the start and at four times it
_LEVEL_NOTIONAL = 20_000 * SCALE  # most that one level offers, in the quote asset

Book = dict[int, int]  # price in ticks → quantity in lots


class Walk:
    """Steps of one symbol: the market moves, what changed of its book is named, and one print happens at the touch.

    Buyers and sellers take in turn. Every SNAPSHOT_EVERY steps the whole book is given, so that an engine that starts
    anew in the middle has it soon. The same generator state and arguments give the same lines.
    """

    def __init__(self, spec: SymbolSpec, start_price: int, rng: Random) -> None:
        """`start_price` in 1e-8 units."""
        self._spec = spec
        self._rng = rng
        self._mid = max(start_price // spec.tick, 4 * LEVELS)
        self._low, self._high = max(self._mid // _RANGE, 2 * LEVELS), self._mid * _RANGE
        self._steps = 0
        self._bids: Book = {}
        self._asks: Book = {}

    def step(self) -> Iterator[str]:
        self._move()
        bids, asks = self._ladder(-1), self._ladder(1)
        yield self._depth(bids, asks)
        self._bids, self._asks = bids, asks
        yield self._print()
        self._steps += 1

    def _move(self) -> None:
        reach = max(self._mid * _STEP_PPM // 1_000_000, 1)
        self._mid = min(max(self._mid + self._rng.randint(-reach, reach), self._low), self._high)

    def _ladder(self, direction: int) -> Book:
        gap = max(self._mid // 100_000, 1)
        most = max(_LEVEL_NOTIONAL * SCALE // (self._mid * self._spec.tick) // self._spec.lot, 1)
        return {self._mid + direction * gap * level: self._rng.randint(1, most) for level in range(1, LEVELS + 1)}

    def _depth(self, bids: Book, asks: Book) -> str:
        last_id = self._steps + 1
        symbol = self._spec.symbol
        if self._steps % SNAPSHOT_EVERY == 0:
            return f"DEPTH {symbol} SNAPSHOT {last_id} {self._levels(bids)} {self._levels(asks)}"
        changes = f"{self._levels(_changes(self._bids, bids))} {self._levels(_changes(self._asks, asks))}"
        return f"DEPTH {symbol} UPDATE {last_id} {last_id} {changes}"

    def _print(self) -> str:
        buyer_takes = self._steps % 2 == 0
        price, offered = next(iter((self._asks if buyer_takes else self._bids).items()))
        lots = self._rng.randint(1, offered)
        amounts = f"{format_units(price * self._spec.tick)} {format_units(lots * self._spec.lot)}"
        return f"TRADE {self._spec.symbol} {amounts}"

    def _levels(self, book: Book) -> str:
        pairs = (f"{format_units(p * self._spec.tick)}:{format_units(q * self._spec.lot)}" for p, q in book.items())
        return ",".join(pairs) or "-"


def _changes(old: Book, new: Book) -> Book:
    """What turns the old side into the new one: levels that went, with 0, and levels that came or differ."""
    gone = {price: 0 for price in old if price not in new}
    return gone | {price: qty for price, qty in new.items() if old.get(price) != qty}
