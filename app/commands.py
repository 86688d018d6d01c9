"""Commands of the order path, validated and in engine units, and what they are answered with."""

from __future__ import annotations

import hashlib
from enum import StrEnum

import msgspec


class Side(StrEnum):
    BUY = "BUY"
    SELL = "SELL"


class OrderType(StrEnum):
    LIMIT = "LIMIT"
    MARKET = "MARKET"
    STOP = "STOP"
    STOP_LIMIT = "STOP_LIMIT"


class TimeInForce(StrEnum):
    GTC = "GTC"
    IOC = "IOC"
    FOK = "FOK"
    GTX = "GTX"
    GTD = "GTD"


class SelfTrade(StrEnum):
    CANCEL_NEWEST = "CANCEL_NEWEST"
    NONE = "NONE"


class Status(StrEnum):
    ACCEPTED = "ACCEPTED"
    PARTIALLY_FILLED = "PARTIALLY_FILLED"
    FILLED = "FILLED"
    CANCELLED = "CANCELLED"
    REJECTED = "REJECTED"
    EXPIRED = "EXPIRED"


OPEN = frozenset({Status.ACCEPTED, Status.PARTIALLY_FILLED})


class NewOrder(msgspec.Struct, frozen=True, kw_only=True):
    """An order as the client asked for it; quantities and prices in 1e-8 units, `expire_ts_ns` in Unix nanoseconds."""

    account: str
    client_order_id: str
    side: Side
    symbol: str
    qty: int
    price: int = 0
    order_type: OrderType = OrderType.LIMIT
    tif: TimeInForce = TimeInForce.GTC
    stop_price: int | None = None
    expire_ts_ns: int | None = None
    stp: SelfTrade = SelfTrade.CANCEL_NEWEST

    def digest(self) -> bytes:
        """SHA-256 of the content: two requests with one id are the same order when their digests are equal."""
        return hashlib.sha256(msgspec.json.encode(self)).digest()


class Cancel(msgspec.Struct, frozen=True, kw_only=True):
    """Cancel one open order, of `symbol` when given; `reason` ends up in its events."""

    account: str
    client_order_id: str
    symbol: str | None = None
    reason: str = "USER"


class CancelAll(msgspec.Struct, frozen=True, kw_only=True):
    """Cancel an account's open orders, of one symbol or of all."""

    account: str
    symbol: str | None = None
    reason: str = "USER"


class Amend(msgspec.Struct, frozen=True, kw_only=True):
    """Change an open order; what is None stays. `qty` is the new total quantity."""

    account: str
    client_order_id: str
    qty: int | None = None
    price: int | None = None
    stop_price: int | None = None


class Answer(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """What a committed command is answered with. `seq` is the account's last event of the command; amounts in 1e-8 units."""

    client_order_id: str
    status: Status
    seq: int
    executed_qty: int
    executed_notional: int
    reason: str = ""
    venue_order_id: str | None = None
