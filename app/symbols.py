"""The symbols that orders may name: durable, because orders and positions outlive a feed."""

from __future__ import annotations

from collections.abc import Iterable

from app.database import Connection
from app.exchange_config import StartRefused
from app.feeds import SymbolSpec
from app.money import to_decimal

_STORE = b"""INSERT INTO symbols AS s (symbol, base, quote, tick, lot, min_qty, max_qty, min_notional)
VALUES (%s, %s, %s, %s, %s, %s, %s, %s)
ON CONFLICT (symbol) DO UPDATE SET tick = excluded.tick, lot = excluded.lot, min_qty = excluded.min_qty,
    max_qty = excluded.max_qty, min_notional = excluded.min_notional
WHERE (s.base, s.quote) = (excluded.base, excluded.quote) RETURNING 1"""


async def store_symbols(connection: Connection, symbols: Iterable[SymbolSpec]) -> None:
    """Add the symbols, or change their figures. StartRefused when one is there with other assets."""
    for spec in symbols:
        figures = (spec.tick, spec.lot, spec.min_qty, spec.max_qty, spec.min_notional)
        values = (spec.symbol, spec.base, spec.quote, *map(to_decimal, figures))
        if await (await connection.execute(_STORE, values)).fetchone() is None:
            raise StartRefused(
                f"{spec.symbol} is stored with other assets than {spec.base} and {spec.quote}, and orders may name it; "
                "give the feed's symbol another name"
            )
