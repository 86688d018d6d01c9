"""The simulated market of several symbols: what it does at a moment depends on seed, settings and the clock alone.

So all gateways of a cluster show one market, whenever each of them started, as far as their clocks agree.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import AsyncGenerator, Callable, Iterator, Mapping, Sequence
from typing import Final

from app.feeds import SymbolSpec
from app.feeds.walk import EVENTS_A_STEP, Walk
from app.money import SCALE

START_PRICES = {"BTC": 40_000 * SCALE, "ETH": 2_500 * SCALE, "BNB": 300 * SCALE, "SOL": 100 * SCALE}
OTHER_START_PRICE = 100 * SCALE

# A step that is so late is still given, or each hiccup would make this gateway's market differ from the others'.
LATE_SECONDS: Final = 0.25
_YIELD_EVERY = 256


class SimFeed:
    """Walks every symbol in turn, `rate` market events a second each (0: as fast as the consumer takes them, from step 0).

    `start_prices` is by symbol, in 1e-8 units; what is left out starts at a usual price of its base asset. It begins with each
    symbol's step that is under way. A consumer that fell behind is not flooded: steps that were missed are not made up for.
    """

    name = "sim"

    def __init__(
        self,
        symbols: Sequence[SymbolSpec],
        *,
        seed: int,
        rate: float = 10.0,
        start_prices: Mapping[str, int] | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        if not symbols:
            raise ValueError("a simulated market needs at least one symbol")
        if not 0 <= rate < float("inf"):
            raise ValueError(f"rate {rate}: must be 0 (as fast as possible) or market events a second")
        self.symbols: Sequence[SymbolSpec] = tuple(symbols)
        self._seed = seed
        self._clock = clock
        # A slot is one symbol's step; symbols take turns.
        self._slot_seconds = EVENTS_A_STEP / (rate * len(symbols)) if rate else 0.0
        self._start_prices = {spec.symbol: START_PRICES.get(spec.base, OTHER_START_PRICE) for spec in symbols}
        self._start_prices.update(start_prices or {})

    def walks(self) -> list[Walk]:
        return [Walk(spec, self._start_prices[spec.symbol], self._seed) for spec in self.symbols]

    def lines(self, first: int = 0) -> Iterator[list[str]]:
        """One step's lines after the other, endless; a symbol's lines do not depend on which others there are."""
        walks, number = self.walks(), first
        while True:
            for walk in walks:
                yield list(walk.step(number))
            number += 1

    async def commands(self) -> AsyncGenerator[str]:
        steps = self._paced() if self._slot_seconds else self._unpaced()
        async for step in steps:
            for line in step:
                yield line

    async def _unpaced(self) -> AsyncGenerator[list[str]]:
        for count, step in enumerate(self.lines()):
            if count % _YIELD_EVERY == 0:
                await asyncio.sleep(0)
            yield step

    async def _paced(self) -> AsyncGenerator[list[str]]:
        walks, slot = self.walks(), self._under_way()
        while True:
            ahead = slot * self._slot_seconds - self._clock()
            most = LATE_SECONDS + len(walks) * self._slot_seconds
            if abs(ahead) > most:  # missed, or the clock was set back
                slot = self._under_way()
                continue
            await asyncio.sleep(max(ahead, 0))
            number, turn = divmod(slot, len(walks))
            yield list(walks[turn].step(number))
            slot += 1

    def _under_way(self) -> int:
        """The oldest slot whose step is its symbol's last."""
        return math.floor(self._clock() / self._slot_seconds) - (len(self.symbols) - 1)
