"""Market sources: each yields engine command lines at its own pace."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

import msgspec


class SymbolSpec(msgspec.Struct, frozen=True, kw_only=True):
    """A traded symbol; `tick`, `lot` and the minima in 1e-8 units, 0 meaning no minimum or maximum."""

    symbol: str
    base: str
    quote: str
    tick: int
    lot: int
    min_qty: int = 0
    max_qty: int = 0
    min_notional: int = 0


class Feed(Protocol):
    """A source of market data.

    `commands` yields TRADE, QUOTE and DEPTH lines without correlation number and without `ts=`; it paces itself, and it is
    iterated once: an engine that restarts gets the next command, nothing is replayed.
    """

    name: str
    symbols: Sequence[SymbolSpec]

    def commands(self) -> AsyncIterator[str]: ...
