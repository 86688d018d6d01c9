"""What became of orders: their states, their events, their trades; read from the committed tables."""

from __future__ import annotations

from typing import Annotated, Any, Literal, TypeAlias

import msgspec
from psycopg.rows import TupleRow

from app.commands import Side, Status
from app.errors import NotFound
from app.operation import Call, Decimal, NullableDecimal, PageSize
from app.paging import DEFAULT_PAGE, Where, page, raw
from app.params import Token, Whole

EventType: TypeAlias = Literal["order_update", "fill", "error"]
EVENT_TYPES: tuple[EventType, ...] = ("order_update", "fill", "error")
JsonObject = Annotated[msgspec.Raw, msgspec.Meta(extra_json_schema={"type": "object"})]

_STATE = """
SELECT account, client_order_id, symbol, side, trim_scale(qty)::text, trim_scale(price)::text, trim_scale(stop_price)::text,
       expire_ts_ns, venue_order_id, status, reason, trim_scale(executed_qty)::text, trim_scale(executed_notional)::text,
       CASE WHEN executed_qty = 0 THEN '0'
            ELSE trim_scale(div(executed_notional * 100000000, executed_qty) * 0.00000001)::text END,
       order_type, tif, stp, triggered, created_ts_ns, last_ts_ns, created_seq, last_seq
FROM orders"""
_EVENTS = "SELECT seq, payload::text FROM order_wal"
_TRADES = """
SELECT trade_id, seq, client_order_id, symbol, side, trim_scale(qty)::text, trim_scale(price)::text, trim_scale(fee)::text,
       fee_asset, liquidity, ts_ns
FROM fills"""


class OrderState(msgspec.Struct, frozen=True, kw_only=True):
    """An order as it is now. `limit_price` is 0 for MARKET and STOP; times are Unix nanoseconds."""

    account: str
    client_order_id: str
    symbol: str
    side: Side
    order_qty: Decimal
    limit_price: Decimal
    stop_price: NullableDecimal
    expire_ts_ns: int | None
    venue_order_id: str | None
    status: Status
    reason: str
    executed_qty: Decimal
    executed_notional: Decimal
    avg_price: Decimal
    order_type: str
    tif: str
    stp: str
    triggered: bool
    created_ts_ns: int
    last_ts_ns: int
    created_seq: int
    seq: int


class Trade(msgspec.Struct, frozen=True, kw_only=True):
    trade_id: int
    seq: int
    client_order_id: str
    symbol: str
    side: Side
    qty: Decimal
    price: Decimal
    fee: Decimal
    fee_asset: str
    liquidity: Literal["maker", "taker"]
    ts_ns: int


class EventPage(msgspec.Struct, frozen=True):
    """Events as in the stream, with `seq`. `next`: the cursor of the next, older page; null on the last one."""

    items: list[JsonObject]
    next: str | None


class StatePage(msgspec.Struct, frozen=True):
    items: list[OrderState]
    next: str | None


class TradePage(msgspec.Struct, frozen=True):
    items: list[Trade]
    next: str | None


class EventsQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    type: EventType | None = None
    symbol: Token | None = None
    status: Status | None = None
    client_order_id: Token | None = None
    limit: PageSize = DEFAULT_PAGE
    cursor: Whole | None = None
    account: Token | None = None


class StatesQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    status: Status | None = None
    open: bool | None = None
    symbol: Token | None = None
    limit: PageSize = DEFAULT_PAGE
    cursor: Whole | None = None
    account: Token | None = None


class StateQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    client_order_id: Token
    account: Token | None = None


class TradesQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    symbol: Token | None = None
    client_order_id: Token | None = None
    limit: PageSize = DEFAULT_PAGE
    cursor: Whole | None = None
    account: Token | None = None


def order_state(row: TupleRow) -> OrderState:
    values = dict(zip(OrderState.__struct_fields__, row, strict=True))
    for name in ("order_qty", "limit_price", "stop_price", "executed_qty", "executed_notional", "avg_price"):
        values[name] = raw(values[name])
    return OrderState(**values)


def trade(row: TupleRow) -> Trade:
    values = dict(zip(Trade.__struct_fields__, row, strict=True))
    return Trade(**values | {name: raw(values[name]) for name in ("qty", "price", "fee")})


async def events(call: Call[EventsQuery, Any]) -> EventPage:
    query, where = call.query, Where()
    where.add("account = %s", call.account(query.account))
    where.add("type = ANY(%s)", list(EVENT_TYPES) if query.type is None else [query.type])
    where.add("payload->>'symbol' = %s", query.symbol)
    where.add("payload->>'status' = %s", query.status)
    where.add("client_order_id = %s", query.client_order_id)
    where.before("seq", query.cursor)
    rows, more = await page(call.services.exchange.pool, _EVENTS, where, "seq DESC", query.limit)
    items = [msgspec.Raw(f'{{"seq":{seq},{payload[1:]}'.encode()) for seq, payload in rows]
    return EventPage(items, str(rows[-1][0]) if more else None)


async def states(call: Call[StatesQuery, Any]) -> StatePage:
    query, where = call.query, Where()
    where.add("account = %s", call.account(query.account))
    where.add("status = %s", query.status)
    where.add(f"status {'' if query.open else 'NOT '}IN ('ACCEPTED', 'PARTIALLY_FILLED')", query.open)
    where.add("symbol = %s", query.symbol)
    where.before("created_seq", query.cursor)
    rows, more = await page(call.services.exchange.pool, _STATE, where, "created_seq DESC", query.limit)
    items = [order_state(row) for row in rows]
    return StatePage(items, str(items[-1].created_seq) if more else None)


async def state(call: Call[StateQuery, Any]) -> OrderState:
    where, account = Where(), call.account(call.query.account)
    where.add("account = %s", account)
    where.add("client_order_id = %s", call.query.client_order_id)
    rows, _ = await page(call.services.exchange.pool, _STATE, where, "created_seq DESC", 1)
    if not rows:
        raise NotFound(f"account {account!r} has no order {call.query.client_order_id!r}")
    return order_state(rows[0])


async def trades(call: Call[TradesQuery, Any]) -> TradePage:
    query, where = call.query, Where()
    where.add("account = %s", call.account(query.account))
    where.add("symbol = %s", query.symbol)
    where.add("client_order_id = %s", query.client_order_id)
    where.before("trade_id", query.cursor)
    rows, more = await page(call.services.exchange.pool, _TRADES, where, "trade_id DESC", query.limit)
    items = [trade(row) for row in rows]
    return TradePage(items, str(items[-1].trade_id) if more else None)
