"""The simulated market of several symbols, paced by the clock; its contents depend on the seed alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, Iterator, Mapping, Sequence
from random import Random

from app.feeds import SymbolSpec
from app.feeds.walk import EVENTS_A_STEP, Walk
from app.money import SCALE

START_PRICES = {"BTC": 40_000 * SCALE, "ETH": 2_500 * SCALE, "BNB": 300 * SCALE, "SOL": 100 * SCALE}
OTHER_START_PRICE = 100 * SCALE

_YIELD_EVERY = 256


class SimFeed:
    """Walks every symbol in turn, `rate` market events a second each (0: as fast as the consumer takes them).

    `start_prices` is by symbol, in 1e-8 units; what is left out starts at a usual price of its base asset. A consumer
    that fell behind is not flooded: steps that were missed are not made up for.
    """

    name = "sim"

    def __init__(
        self,
        symbols: Sequence[SymbolSpec],
        *,
        seed: int,
        rate: float = 10.0,
        start_prices: Mapping[str, int] | None = None,
    ) -> None:
        if not symbols:
            raise ValueError("a simulated market needs at least one symbol")
        if not 0 <= rate < float("inf"):
            raise ValueError(f"rate {rate}: must be 0 (as fast as possible) or market events a second")
        self.symbols: Sequence[SymbolSpec] = tuple(symbols)
        self._seed = seed
        self._rate = rate
        self._start_prices = {spec.symbol: START_PRICES.get(spec.base, OTHER_START_PRICE) for spec in symbols}
        self._start_prices.update(start_prices or {})

    def lines(self) -> Iterator[list[str]]:
        """One step's lines after the other, endless; a symbol's lines do not depend on which others there are."""
        walks = [
            Walk(spec, self._start_prices[spec.symbol], Random(f"{self._seed}/{spec.symbol}"))  # noqa: S311 - a market, no secret
            for spec in self.symbols
        ]
        while True:
            for walk in walks:
                yield list(walk.step())

    async def commands(self) -> AsyncGenerator[str]:
        clock = asyncio.get_running_loop().time
        interval = EVENTS_A_STEP / (self._rate * len(self.symbols)) if self._rate else 0.0
        due = clock()
        for count, step in enumerate(self.lines()):
            if interval or count % _YIELD_EVERY == 0:
                await asyncio.sleep(max(due - clock(), 0))
            due = max(due + interval, clock())
            for line in step:
                yield line
