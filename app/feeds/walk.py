"""A simulated market: one symbol's book and prints as the engine's commands. Pure, in whole numbers.

What happens at a step depends on seed, symbol and the step's number alone, so that gateways that never spoke have one market.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from random import Random
from typing import Final

from app.feeds import SymbolSpec
from app.money import SCALE, format_units

LEVELS = 10
SNAPSHOT_EVERY = 5
EVENTS_A_STEP = 2  # the book, then a print

# Octaves of noise: steps between two of its points, and how far they lie from the start price at most, in millionths of it.
# Amplitudes grow like the square root, as a random walk's would. Together a step moves the price by at most 0.02 %
# (the sum of 2 * amplitude / steps), and it stays within 3.2 % of the start.
OCTAVES: Final = ((1, 30), (8, 320), (64, 900), (512, 2_600), (4_096, 7_400), (32_768, 20_000))
RANGE_PPM: Final = sum(amplitude for _, amplitude in OCTAVES)

_MILLION: Final = 1_000_000
_BILLION: Final = 1_000_000_000
_LEVEL_NOTIONAL = 20_000 * SCALE  # most that one level offers, in the quote asset

Book = dict[int, int]  # price in ticks → quantity in lots


class Walk:
    """Steps of one symbol: the market moves, what changed of its book is named, and one print happens at the touch.

    Buyers and sellers take in turn. Every SNAPSHOT_EVERY steps the whole book is given, so that an engine that starts
    anew in the middle has it soon.
    """

    def __init__(self, spec: SymbolSpec, start_price: int, seed: int) -> None:
        """`start_price` in 1e-8 units."""
        self._spec = spec
        self._name = f"{seed}/{spec.symbol}"
        self._start = max(start_price // spec.tick, 4 * LEVELS)
        self._points: dict[tuple[int, int], int] = {}
        self._last = -1
        self._bids: Book = {}
        self._asks: Book = {}

    def step(self, number: int) -> Iterator[str]:
        """The lines of a step. One that does not follow the last one given begins with the whole book."""
        mid, rng = self.mid(number), Random(f"{self._name}/{number}")  # noqa: S311 - a market, no secret
        bids, asks = self._ladder(mid, -1, rng), self._ladder(mid, 1, rng)
        yield self._depth(number, bids, asks)
        self._last, self._bids, self._asks = number, bids, asks
        yield self._print(number, rng)

    def mid(self, number: int) -> int:
        """The price between bids and asks at a step, in ticks."""
        shift = sum(
            amplitude * 1000 * self._noise(octave, steps, number) // _MILLION
            for octave, (steps, amplitude) in enumerate(OCTAVES)
        )
        return self._start * (_BILLION + shift) // _BILLION

    def _noise(self, octave: int, steps: int, number: int) -> int:
        """Millionths, -1 to 1: on the straight line between the octave's points around the step."""
        cell, rest = divmod(number, steps)
        return (self._point(octave, cell) * (steps - rest) + self._point(octave, cell + 1) * rest) // steps

    def _point(self, octave: int, cell: int) -> int:
        found = self._points.get((octave, cell))
        if found is None:
            digest = hashlib.blake2b(f"{self._name}/{octave}/{cell}".encode(), digest_size=8).digest()
            found = int.from_bytes(digest) % (2 * _MILLION + 1) - _MILLION
            if len(self._points) > 4 * len(OCTAVES):
                self._points.clear()
            self._points[octave, cell] = found
        return found

    def _ladder(self, mid: int, direction: int, rng: Random) -> Book:
        gap = max(mid // 100_000, 1)
        most = max(_LEVEL_NOTIONAL * SCALE // (mid * self._spec.tick) // self._spec.lot, 1)
        return {mid + direction * gap * level: rng.randint(1, most) for level in range(1, LEVELS + 1)}

    def _depth(self, number: int, bids: Book, asks: Book) -> str:
        last_id = number + 1
        symbol = self._spec.symbol
        if number % SNAPSHOT_EVERY == 0 or number != self._last + 1:
            return f"DEPTH {symbol} SNAPSHOT {last_id} {self._levels(bids)} {self._levels(asks)}"
        changes = f"{self._levels(_changes(self._bids, bids))} {self._levels(_changes(self._asks, asks))}"
        return f"DEPTH {symbol} UPDATE {last_id} {last_id} {changes}"

    def _print(self, number: int, rng: Random) -> str:
        buyer_takes = number % 2 == 0
        price, offered = next(iter((self._asks if buyer_takes else self._bids).items()))
        lots = rng.randint(1, offered)
        amounts = f"{format_units(price * self._spec.tick)} {format_units(lots * self._spec.lot)}"
        return f"TRADE {self._spec.symbol} {amounts}"

    def _levels(self, book: Book) -> str:
        pairs = (f"{format_units(p * self._spec.tick)}:{format_units(q * self._spec.lot)}" for p, q in book.items())
        return ",".join(pairs) or "-"


def _changes(old: Book, new: Book) -> Book:
    """What turns the old side into the new one: levels that went, with 0, and levels that came or differ."""
    gone = {price: 0 for price in old if price not in new}
    return gone | {price: qty for price, qty in new.items() if old.get(price) != qty}
