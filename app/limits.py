"""An account's fees and risk limits (docs/engine_protocol.md, sections 4 and 5)."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec

from app.errors import BadParams
from app.money import MAX_UNITS, format_units, parse_units

COUNTS = frozenset({"max_open_orders", "order_rate"})
FEES = frozenset({"maker_fee_bps", "taker_fee_bps"})
MAX_FEE_BPS = parse_units("10000")


class Limits(msgspec.Struct, frozen=True, kw_only=True):
    """Names as in the engine's `limits` event; 0 means no limit.

    The names in COUNTS are whole numbers, all others amounts or basis points in 1e-8 units (7.5 bps is 750_000_000).
    """

    maker_fee_bps: int = 0
    taker_fee_bps: int = 0
    max_order_qty: int = 0
    max_notional: int = 0
    price_band_bps: int = 0
    max_open_orders: int = 0
    max_position: int = 0
    order_rate: int = 0
    daily_loss: int = 0
    kill: bool = False

    def changed(self, changes: Mapping[str, int]) -> Limits:
        """These limits with `changes` applied; BadParams names an unknown limit or a value out of range.

        `kill` is not changed here: the kill switch has its own command.
        """
        for name, value in changes.items():
            if name not in AMOUNTS and name not in COUNTS:
                known = ", ".join(sorted(AMOUNTS | COUNTS))
                raise BadParams(f"{name!r} is not a limit; the limits are {known}")
            greatest = MAX_FEE_BPS if name in FEES else MAX_UNITS
            if not 0 <= value <= greatest:
                shown = value if name in COUNTS else format_units(value)
                raise BadParams(f"{name} is {shown}, it must be from 0 to {_text(name, greatest)}")
        return msgspec.structs.replace(self, **changes)

    def texts(self) -> dict[str, str]:
        """Each limit but `kill` as the decimal text that the engine and the database take."""
        return {name: _text(name, getattr(self, name)) for name in sorted(AMOUNTS | COUNTS)}

    @classmethod
    def from_texts(cls, texts: Mapping[str, str], *, kill: bool) -> Limits:
        """The inverse of `texts`; names that are missing have their default."""
        values = {name: int(text) if name in COUNTS else parse_units(text) for name, text in texts.items()}
        return cls(**values, kill=kill)


AMOUNTS = frozenset(Limits.__struct_fields__) - COUNTS - {"kill"}


def _text(name: str, value: int) -> str:
    return str(value) if name in COUNTS else format_units(value)
