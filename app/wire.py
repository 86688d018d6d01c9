"""The engine's language: its events as structs, our commands as lines (docs/engine_protocol.md)."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Final, TypeAlias

import msgspec

from app.commands import Amend, Answer, Cancel, CancelAll, NewOrder, Status
from app.errors import BadParams
from app.feeds import SymbolSpec
from app.limits import Limits
from app.money import format_units, from_decimal

PROTOCOL: Final = 1
DURABLE: Final = frozenset({"order_update", "fill", "transfer", "order_state", "account"})
RISK_REASONS: Final = frozenset({
    "KILL_SWITCH", "BAD_TICK", "BAD_LOT", "MAX_ORDER_QTY", "OVERFLOW", "MIN_NOTIONAL", "MAX_NOTIONAL", "PRICE_BAND",
    "MAX_OPEN_ORDERS", "POSITION_LIMIT", "DAILY_LOSS", "ORDER_RATE", "INSUFFICIENT_FUNDS", "POST_ONLY_WOULD_TAKE",
    "SELF_TRADE",
})  # fmt: skip

_TOKEN = re.compile(r"[A-Za-z0-9._:/-]{1,64}", re.ASCII)


class Event(msgspec.Struct, frozen=True):
    """One event as it is logged: what every reader needs, and the engine's text without `req`."""

    type: str
    account: str | None
    client_order_id: str | None
    ts_ns: int
    payload: bytes


class _Head(msgspec.Struct):
    type: str
    req: int | None = None
    account: str | None = None
    client_order_id: str | None = None
    ts_ns: int = 0
    last_ts_ns: int = 0


class Ready(msgspec.Struct, frozen=True, tag="ready"):
    version: str
    protocol: int


class Market(msgspec.Struct, frozen=True, tag="market"):
    symbol: str
    ts_ns: int
    price: Decimal | None = None
    qty: Decimal | None = None
    bid: Decimal | None = None
    bid_qty: Decimal | None = None
    ask: Decimal | None = None
    ask_qty: Decimal | None = None


class OrderUpdate(msgspec.Struct, frozen=True, tag="order_update"):
    account: str
    client_order_id: str
    status: str
    symbol: str
    side: str
    qty: Decimal
    price: Decimal
    order_type: str
    tif: str
    stp: str
    triggered: bool
    rank: int
    stop_price: Decimal | None = None
    expire_ts_ns: int | None = None
    reason: str = ""


class Fill(msgspec.Struct, frozen=True, tag="fill"):
    account: str
    ts_ns: int
    client_order_id: str
    symbol: str
    side: str
    qty: Decimal
    price: Decimal
    fee: Decimal
    fee_asset: str
    trade_id: int


class Transfer(msgspec.Struct, frozen=True, tag="transfer"):
    account: str
    asset: str
    amount: Decimal


class OrderState(msgspec.Struct, frozen=True, tag="order_state"):
    client_order_id: str
    status: Status
    reason: str
    executed_qty: Decimal
    executed_notional: Decimal
    venue_order_id: str | None = None


class Hash(msgspec.Struct, frozen=True, tag="hash"):
    account: str
    hash: str
    open_orders: int


class Error(msgspec.Struct, frozen=True, tag="error"):
    code: str
    message: str


Accounting: TypeAlias = OrderUpdate | Fill | Transfer

_head = msgspec.json.Decoder(_Head)
decode_ready = msgspec.json.Decoder(Ready).decode
decode_market = msgspec.json.Decoder(Market).decode
decode_accounting = msgspec.json.Decoder(Accounting).decode
decode_fill = msgspec.json.Decoder(Fill).decode
decode_order_state = msgspec.json.Decoder(OrderState).decode
decode_hash = msgspec.json.Decoder(Hash).decode
decode_error = msgspec.json.Decoder(Error).decode


def read_event(line: bytes) -> tuple[int | None, Event]:
    """One line of the engine as its correlation number and the event; msgspec.DecodeError when it is none."""
    head = _head.decode(line)
    payload = line
    if head.req is not None:
        start = len(head.type) + 10  # {"type":"…" and then ,"req":…
        payload = line[:start] + line[start + len(f',"req":{head.req}') :]
    return head.req, Event(head.type, head.account, head.client_order_id, head.ts_ns or head.last_ts_ns, payload)


def answer_of(payload: bytes, seq: int) -> Answer:
    """The answer that an order_state amounts to."""
    state = decode_order_state(payload)
    return Answer(
        client_order_id=state.client_order_id,
        status=state.status,
        seq=seq,
        executed_qty=from_decimal(state.executed_qty),
        executed_notional=from_decimal(state.executed_notional),
        reason=state.reason,
        venue_order_id=state.venue_order_id,
    )


def token(name: str, value: str) -> str:
    """The value when it is a token; else BadParams. Without this a blank could begin another option."""
    if _TOKEN.fullmatch(value) is None:
        shown = value if len(value) <= 64 else value[:64] + "…"  # noqa: PLR2004 - a token's greatest length
        raise BadParams(f"{name} is {shown!r}; it must be 1 to 64 of the characters A-Z a-z 0-9 . _ : / -")
    return value


def order_line(order: NewOrder) -> str:
    words = [
        f"ORDER {order.side} {token('symbol', order.symbol)} {format_units(order.qty)} {format_units(order.price)}",
        token("client_order_id", order.client_order_id),
        f"{order.order_type} {order.tif} acct={token('account', order.account)} stp={order.stp}",
    ]
    if order.stop_price is not None:
        words.append(f"stop={format_units(order.stop_price)}")
    if order.expire_ts_ns is not None:
        words.append(f"expire={order.expire_ts_ns:d}")
    return " ".join(words)


def cancel_line(command: Cancel) -> str:
    symbol = "" if command.symbol is None else f" symbol={token('symbol', command.symbol)}"
    return (
        f"CANCEL {token('client_order_id', command.client_order_id)}{symbol} "
        f"reason={token('reason', command.reason)} acct={token('account', command.account)}"
    )


def cancel_all_line(command: CancelAll) -> str:
    symbol = "" if command.symbol is None else f" symbol={token('symbol', command.symbol)}"
    return f"CANCEL_ALL reason={token('reason', command.reason)} acct={token('account', command.account)}{symbol}"


def amend_line(command: Amend) -> str:
    changes = {"qty": command.qty, "price": command.price, "stop": command.stop_price}
    given = " ".join(f"{name}={format_units(value)}" for name, value in changes.items() if value is not None)
    if not given:
        raise BadParams("an amend names at least one of qty, price and stop_price")
    return f"AMEND {token('client_order_id', command.client_order_id)} {given} acct={token('account', command.account)}"


def symbol_line(spec: SymbolSpec) -> str:
    figures = {
        "tick": spec.tick,
        "lot": spec.lot,
        "min_qty": spec.min_qty,
        "max_qty": spec.max_qty,
        "min_notional": spec.min_notional,
    }
    given = " ".join(f"{name}={format_units(value)}" for name, value in figures.items() if value)
    assets = f"base={token('base', spec.base)} quote={token('quote', spec.quote)}"
    return f"SYMBOL {token('symbol', spec.symbol)} {assets} {given}"


def limits_line(account: str, limits: Limits) -> str:
    given = " ".join(f"{name}={text}" for name, text in limits.texts().items())
    return f"LIMITS acct={token('account', account)} {given} kill={limits.kill:d}"


def kill_line(*, on: bool) -> str:
    """The global kill switch."""
    return f"LIMITS acct=* kill={on:d}"
