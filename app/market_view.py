"""What is known of one symbol's market."""

from __future__ import annotations

import msgspec


class MarketView(msgspec.Struct, frozen=True, kw_only=True):
    """The last market event of a symbol; amounts in 1e-8 units, times in Unix nanoseconds.

    `price` and `qty` are those of the last print, a missing side of the book is None. `payload` is the engine's own JSON text.
    """

    symbol: str
    ts_ns: int
    received_ns: int
    payload: bytes
    price: int | None = None
    qty: int | None = None
    bid: int | None = None
    bid_qty: int | None = None
    ask: int | None = None
    ask_qty: int | None = None
