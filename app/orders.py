"""Orders: submit, cancel, amend; their states, events and trades."""

from __future__ import annotations

import uuid
from http import HTTPStatus
from typing import Any, Literal, TypeAlias

import msgspec
from aiohttp import web

from app.commands import Amend, Answer, Cancel, CancelAll, NewOrder, OrderType, SelfTrade, Side, Status, TimeInForce
from app.errors import BadParams, Forbidden
from app.money import SCALE, number
from app.operation import Call, Decimal, answer
from app.params import AccountOrAll, Amount, Token, Whole
from app.roles import Role
from app.sweep import Report

SideWord: TypeAlias = Literal["BUY", "SELL", "buy", "sell"]
TypeWord: TypeAlias = Literal["LIMIT", "MARKET", "STOP", "STOP_LIMIT", "limit", "market", "stop", "stop_limit"]
TifWord: TypeAlias = Literal["GTC", "IOC", "FOK", "GTX", "GTD", "gtc", "ioc", "fok", "gtx", "gtd"]
StpWord: TypeAlias = Literal["CANCEL_NEWEST", "NONE", "cancel_newest", "none"]


EVERY_ACCOUNT = "*"
_PRICED = frozenset({OrderType.LIMIT, OrderType.STOP_LIMIT})
_STOPS = frozenset({OrderType.STOP, OrderType.STOP_LIMIT})
_TIFS = {
    OrderType.LIMIT: frozenset(TimeInForce),
    OrderType.MARKET: frozenset({TimeInForce.GTC, TimeInForce.IOC, TimeInForce.FOK}),
    OrderType.STOP: frozenset({TimeInForce.GTC, TimeInForce.GTD}),
    OrderType.STOP_LIMIT: frozenset({TimeInForce.GTC, TimeInForce.GTD}),
}


class OrderBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A new order. `expire_ts` is in Unix nanoseconds. Without a `client_order_id` a retry is another order."""

    side: SideWord
    symbol: Token
    qty: Amount
    price: Amount | None = None
    client_order_id: Token | None = None
    type: TypeWord = "LIMIT"
    tif: TifWord | None = None
    stp: StpWord = "CANCEL_NEWEST"
    stop_price: Amount | None = None
    expire_ts: Whole | None = None
    account: Token | None = None


class CancelBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    client_order_id: Token
    symbol: Token | None = None
    account: Token | None = None


class CancelAllBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """`account` is `*` for all of them, which only an admin may say."""

    symbol: Token | None = None
    account: AccountOrAll | None = None


class AmendBody(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is left out stays; `qty` is the new total."""

    client_order_id: Token
    qty: Amount | None = None
    price: Amount | None = None
    stop_price: Amount | None = None
    account: Token | None = None


class Accepted(msgspec.Struct, frozen=True, kw_only=True):
    """A committed command. `seq` is the account's last event of it."""

    ok: Literal[True] = True
    client_order_id: str
    status: Status
    seq: int
    executed_qty: Decimal
    executed_notional: Decimal
    avg_price: Decimal
    reason: str = ""
    venue_order_id: str | None = None


class AccountCancelled(msgspec.Struct, frozen=True, kw_only=True):
    """What became of one account's open orders; with `ok` false some may be open still, and `detail` says why."""

    account: str
    ok: bool
    cancelled: int
    detail: str = ""


class AllCancelled(msgspec.Struct, frozen=True, kw_only=True):
    """`ok` is false when it is not known of an account; then ask again."""

    ok: bool
    items: list[Accepted]
    accounts: list[AccountCancelled]


def accepted(a: Answer) -> Accepted:
    average = a.executed_notional * SCALE // a.executed_qty if a.executed_qty else 0
    return Accepted(
        client_order_id=a.client_order_id,
        status=a.status,
        seq=a.seq,
        executed_qty=number(a.executed_qty),
        executed_notional=number(a.executed_notional),
        avg_price=number(average),
        reason=a.reason,
        venue_order_id=a.venue_order_id,
    )


def new_order(body: OrderBody, account: str) -> NewOrder:
    """The order a body asks for, with the protocol's defaults. Raises BadParams naming the rule it breaks."""
    kind = OrderType(body.type.upper())
    usual = TimeInForce.IOC if kind is OrderType.MARKET else TimeInForce.GTC
    tif = usual if body.tif is None else TimeInForce(body.tif.upper())
    if tif not in _TIFS[kind]:
        raise BadParams(f"tif is {tif}; a {kind} order takes {', '.join(sorted(_TIFS[kind]))}")
    if kind is OrderType.MARKET and tif is TimeInForce.GTC:
        tif = TimeInForce.IOC
    if body.qty == 0:
        raise BadParams("qty is 0; it must be positive")
    _needed("price", body.price, f"a {kind} order", wanted=kind in _PRICED)
    _needed("stop_price", body.stop_price, f"a {kind} order", wanted=kind in _STOPS)
    _needed("expire_ts", body.expire_ts, f"tif {tif}", wanted=tif is TimeInForce.GTD)
    return NewOrder(
        account=account,
        client_order_id=str(body.client_order_id or uuid.uuid4().hex),
        side=Side(body.side.upper()),
        symbol=str(body.symbol),
        qty=int(body.qty),
        price=int(body.price or 0),
        order_type=kind,
        tif=tif,
        stop_price=None if not body.stop_price else int(body.stop_price),
        expire_ts_ns=None if not body.expire_ts else int(body.expire_ts),
        stp=SelfTrade(body.stp.upper()),
    )


def _needed(name: str, value: int | None, what: str, *, wanted: bool) -> None:
    if wanted and not value:
        raise BadParams(f"{name} is {'missing' if value is None else 0}; {what} needs a positive one")
    if not wanted and value:
        raise BadParams(f"{name} is given; {what} takes none")


def amendment(body: AmendBody, account: str) -> Amend:
    """Raises BadParams."""
    changes = {name: getattr(body, name) for name in ("qty", "price", "stop_price")}
    given = {name: int(value) for name, value in changes.items() if value is not None}
    if not given:
        raise BadParams("give at least one of qty, price and stop_price")
    for name, value in given.items():
        if value == 0:
            raise BadParams(f"{name} is 0; it must be positive")
    return Amend(account=account, client_order_id=str(body.client_order_id), **given)


async def submit(call: Call[Any, OrderBody]) -> Accepted:
    order = new_order(call.body, call.account(call.body.account))
    return accepted(await call.services.exchange.submit(order, key_id=call.principal.key_id))


async def cancel(call: Call[Any, CancelBody]) -> Accepted:
    body = call.body
    symbol = None if body.symbol is None else str(body.symbol)
    command = Cancel(account=call.account(body.account), client_order_id=str(body.client_order_id), symbol=symbol)
    return accepted(await call.services.exchange.cancel(command))


async def cancel_all(call: Call[Any, CancelAllBody]) -> web.Response:
    exchange, named = call.services.exchange, call.body.account
    symbol = None if call.body.symbol is None else str(call.body.symbol)
    if named == EVERY_ACCOUNT:
        if call.principal.role is not Role.ADMIN:
            raise Forbidden("only an admin may cancel the orders of all accounts")
        reports = await exchange.cancel_everywhere(symbol)
    else:
        account = call.account(named)
        answers = await exchange.cancel_all(CancelAll(account=account, symbol=symbol))
        reports = [Report(account, ok=True, answers=answers)]
    body = AllCancelled(
        ok=all(report.ok for report in reports),
        items=[accepted(one) for report in reports for one in report.answers],
        accounts=[
            AccountCancelled(account=one.account, ok=one.ok, cancelled=len(one.answers), detail=one.detail)
            for one in reports
        ],
    )
    return answer(body, HTTPStatus.OK if body.ok else HTTPStatus.GATEWAY_TIMEOUT)


async def amend(call: Call[Any, AmendBody]) -> Accepted:
    command = amendment(call.body, call.account(call.body.account))
    return accepted(await call.services.exchange.amend(command))
