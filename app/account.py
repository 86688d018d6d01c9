"""An account's balances and positions, as committed."""

from __future__ import annotations

from typing import Any

import msgspec
from psycopg.rows import TupleRow

from app.errors import NotFound
from app.operation import Call, Decimal
from app.paging import raw, rows_of
from app.params import Token

# One statement each, so that all rows are of one moment.
_BALANCES = """
SELECT coalesce((SELECT ts_ns FROM order_wal w WHERE w.account = a.account AND w.seq = a.seq),
                (extract(epoch FROM a.created_at) * 1000000000)::bigint),
       a.seq, b.asset, trim_scale(b.free)::text, trim_scale(b.locked)::text
FROM accounts a LEFT JOIN balances b ON b.account = a.account AND (b.free <> 0 OR b.locked <> 0)
WHERE a.account = %s ORDER BY b.asset COLLATE "C"
"""
_POSITIONS = """
SELECT a.seq, p.symbol, trim_scale(p.qty)::text, trim_scale(p.cost)::text, trim_scale(p.avg_price)::text,
       trim_scale(p.realised)::text, trim_scale(p.day_realised)::text, p.day
FROM accounts a LEFT JOIN positions p ON p.account = a.account
WHERE a.account = %s ORDER BY p.symbol COLLATE "C"
"""


class AccountQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    account: Token | None = None


class Balance(msgspec.Struct, frozen=True):
    asset: str
    free: Decimal
    locked: Decimal


class Balances(msgspec.Struct, frozen=True):
    """`ts_ns` and `seq` are the account's last event's."""

    account: str
    ts_ns: int
    seq: int
    balances: list[Balance]


class Position(msgspec.Struct, frozen=True):
    """Net quantity traded and its cost; `day` is a Unix day, `day_realised` belongs to it."""

    symbol: str
    qty: Decimal
    cost: Decimal
    avg_price: Decimal
    realised: Decimal
    day_realised: Decimal
    day: int


class Positions(msgspec.Struct, frozen=True):
    account: str
    seq: int
    items: list[Position]


async def balances(call: Call[AccountQuery, Any]) -> Balances:
    account = call.account(call.query.account)
    rows = await rows_of(call.services.exchange.pool, _BALANCES, (account,))
    if not rows:
        raise NotFound(f"there is no account {account!r}")
    held = [Balance(row[2], raw(row[3]), raw(row[4])) for row in rows if row[2] is not None]
    return Balances(account, rows[0][0], rows[0][1], held)


async def positions(call: Call[AccountQuery, Any]) -> Positions:
    account = call.account(call.query.account)
    rows = await rows_of(call.services.exchange.pool, _POSITIONS, (account,))
    if not rows:
        raise NotFound(f"there is no account {account!r}")
    return Positions(account, rows[0][0], [_position(row) for row in rows if row[1] is not None])


def _position(row: TupleRow) -> Position:
    _, symbol, qty, cost, avg_price, realised, day_realised, day = row
    return Position(symbol, raw(qty), raw(cost), raw(avg_price), raw(realised), raw(day_realised), day)
