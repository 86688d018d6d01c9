"""Market sources: each yields the engine's market commands at its own pace."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

import msgspec


class SymbolSpec(msgspec.Struct, frozen=True, kw_only=True):
    """One instrument as the engine's SYMBOL command takes it; amounts in 1e-8 units, 0 where there is no limit."""

    symbol: str
    base: str
    quote: str
    tick: int
    lot: int
    min_qty: int = 0
    max_qty: int = 0
    min_notional: int = 0


class Feed(Protocol):
    """A market source: yields TRADE, QUOTE and DEPTH lines without `@req` and `ts=` at its own pace; it may end."""

    @property
    def name(self) -> str: ...

    @property
    def symbols(self) -> Sequence[SymbolSpec]: ...

    def commands(self) -> AsyncIterator[str]: ...
