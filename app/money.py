"""Exact decimals: text at the edge, whole numbers of 1e-8 units inside. No floating point.

The grammar and range are the engine's (docs/engine_protocol.md, section 1).
"""

from __future__ import annotations

import re
from decimal import Decimal

import msgspec

SCALE_DIGITS = 8
SCALE: int = 10**SCALE_DIGITS
MAX_UNITS = 2**63 - 1

_DECIMAL = re.compile(r"[0-9]{1,20}(?:\.[0-9]{1,8})?", re.ASCII)
_MAX_DIGITS = 20


def parse_units(text: str) -> int:
    """Read a plain, unsigned decimal into 1e-8 units.

    Raises ValueError naming the rule: sign, exponent, more than 8 decimals or 20 digits, or beyond 64 bits.
    """
    if not _DECIMAL.fullmatch(text) or len(text) - text.count(".") > _MAX_DIGITS:
        shown = text if len(text) <= 40 else text[:40] + "…"  # noqa: PLR2004 - a message stays readable
        msg = f"{shown!r} is not a plain decimal of at most 20 digits with at most 8 after the point"
        raise ValueError(msg)
    whole, _, fraction = text.partition(".")
    units = int(whole) * SCALE + int(fraction.ljust(SCALE_DIGITS, "0"))
    if units > MAX_UNITS:
        msg = f"{text} is greater than {format_units(MAX_UNITS)}"
        raise ValueError(msg)
    return units


def format_units(units: int) -> str:
    """Write 1e-8 units in plain notation without trailing zeros, as the engine does."""
    whole, fraction = divmod(abs(units), SCALE)
    text = f"{whole}.{fraction:0{SCALE_DIGITS}d}".rstrip("0").rstrip(".")
    return f"-{text}" if units < 0 else text


def to_decimal(units: int) -> Decimal:
    """Units as a Decimal, for a numeric column."""
    return Decimal(units).scaleb(-SCALE_DIGITS)


def from_decimal(value: Decimal) -> int:
    """A Decimal with at most 8 decimals as units; ValueError when it has more."""
    scaled = value.scaleb(SCALE_DIGITS)
    units = int(scaled)
    if units != scaled:
        msg = f"{value} has more than {SCALE_DIGITS} decimals"
        raise ValueError(msg)
    return units


def number(units: int) -> msgspec.Raw:
    """Units as an exact JSON number."""
    return msgspec.Raw(format_units(units).encode())
