"""The log folded into state: a second implementation of the engine's bookkeeping, from three kinds of event alone.

`transfer`, `fill` and `order_update` say what happened; totals, locks, positions and open orders are worked out here anew
(docs/engine_protocol.md, sections 7 and 8). What the engine says they are is not read.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

import msgspec

from app.commands import OPEN, Side, Status
from app.money import SCALE, from_decimal
from app.wire import Accounting, Fill, OrderUpdate, Transfer

DAY_NS = 86_400 * 10**9


class FoldError(Exception):
    """An event that cannot follow the ones before it."""


class Position(msgspec.Struct):
    """What was traded of one symbol; amounts in 1e-8 units, `day` the number of the Unix day of `day_realised`."""

    qty: int = 0
    cost: int = 0
    realised: int = 0
    day: int = 0
    day_realised: int = 0

    @property
    def is_empty(self) -> bool:
        return not (self.qty or self.cost or self.realised or self.day_realised)

    @property
    def avg_price(self) -> int:
        return abs(self.cost) * SCALE // abs(self.qty) if self.qty else 0


class Order(msgspec.Struct):
    """An order as its events tell it; amounts in 1e-8 units."""

    client_order_id: str
    symbol: str
    side: str
    order_type: str
    tif: str
    stp: str
    qty: int
    price: int
    stop_price: int
    expire_ts_ns: int
    status: str
    triggered: bool
    rank: int
    executed: int = 0
    notional: int = 0

    def line(self) -> str:
        return (
            f"order {self.client_order_id} {self.symbol} {self.side} {self.order_type} {self.tif} {self.qty} {self.price} "
            f"{self.stop_price} {self.expire_ts_ns} {self.executed} {self.notional} {self.triggered:d} {self.status} {self.stp}"
        )

    def lock(self, base: str, quote: str) -> tuple[str, int]:
        """Asset and amount that the order holds back."""
        leaves = self.qty - self.executed
        if self.side == Side.SELL:
            return base, leaves
        price = self.price or self.stop_price
        return quote, -(-price * leaves // SCALE)


class State(msgspec.Struct):
    """One account; `totals` by asset, `orders` the open ones by id, `closed` those that ended in the events folded."""

    account: str
    trades: int = 0
    totals: dict[str, int] = {}
    positions: dict[str, Position] = {}
    orders: dict[str, Order] = {}
    closed: dict[str, Order] = {}

    def canonical(self) -> str:
        """The text that the engine's HASH digests."""
        lines = ["veloz-state 1", f"account {self.account}", f"trades {self.trades}"]
        lines += [f"balance {asset} {total}" for asset, total in sorted(self.totals.items()) if total]
        lines += [
            f"position {symbol} {one.qty} {one.cost} {one.realised} {one.day} {one.day_realised}"
            for symbol, one in sorted(self.positions.items())
            if not one.is_empty
        ]
        lines += [order.line() for order in self.ranked()]
        return "\n".join(lines) + "\n"

    def ranked(self) -> list[Order]:
        return sorted(self.orders.values(), key=lambda order: order.rank)

    def digest(self) -> str:
        return hashlib.sha256(self.canonical().encode()).hexdigest()

    def locks(self, symbols: Mapping[str, tuple[str, str]]) -> dict[str, int]:
        """Σ lock by asset; `symbols` gives (base, quote). FoldError when one is not there."""
        locked: dict[str, int] = {}
        for order in self.orders.values():
            if order.symbol not in symbols:
                raise FoldError(f"order {order.client_order_id} is of {order.symbol}, which is no known symbol")
            asset, amount = order.lock(*symbols[order.symbol])
            locked[asset] = locked.get(asset, 0) + amount
        return locked


def fold(state: State, events: Iterable[Accounting], symbols: Mapping[str, tuple[str, str]]) -> None:
    """Apply the events to the state, in place. FoldError names the event that does not fit."""
    for event in events:
        if event.account != state.account:
            raise FoldError(f"an event of {event.account} in the log of {state.account}")
        if isinstance(event, Transfer):
            _add(state, event.asset, from_decimal(event.amount))
        elif isinstance(event, Fill):
            _fill(state, event, symbols)
        else:
            _update(state, event)


def _add(state: State, asset: str, amount: int) -> None:
    state.totals[asset] = state.totals.get(asset, 0) + amount


def _update(state: State, event: OrderUpdate) -> None:
    order = Order(
        client_order_id=event.client_order_id,
        symbol=event.symbol,
        side=event.side,
        order_type=event.order_type,
        tif=event.tif,
        stp=event.stp,
        qty=from_decimal(event.qty),
        price=from_decimal(event.price),
        stop_price=0 if event.stop_price is None else from_decimal(event.stop_price),
        expire_ts_ns=event.expire_ts_ns or 0,
        status=event.status,
        triggered=event.triggered,
        rank=event.rank,
    )
    before = state.orders.pop(order.client_order_id, None)
    if before is not None:
        order.executed, order.notional = before.executed, before.notional
    elif event.status not in (Status.ACCEPTED, Status.REJECTED):
        raise FoldError(f"order {order.client_order_id} becomes {event.status} without having been open")
    elif order.client_order_id in state.closed:
        raise FoldError(f"order {order.client_order_id} becomes {event.status} after it was closed")
    (state.orders if event.status in OPEN else state.closed)[order.client_order_id] = order


def _fill(state: State, event: Fill, symbols: Mapping[str, tuple[str, str]]) -> None:
    order = state.orders.get(event.client_order_id)
    if order is None or (order.symbol, order.side) != (event.symbol, event.side):
        raise FoldError(f"fill {event.trade_id} is of {event.client_order_id}, which is not such an open order")
    state.trades += 1
    if event.trade_id != state.trades:
        raise FoldError(f"fill {event.trade_id} comes where {state.trades} is due")
    if event.symbol not in symbols:
        raise FoldError(f"fill {event.trade_id} is of {event.symbol}, which is no known symbol")
    base, quote = symbols[event.symbol]
    qty, fee = from_decimal(event.qty), from_decimal(event.fee)
    notional = from_decimal(event.price) * qty // SCALE
    if event.fee_asset != (base if order.side == Side.BUY else quote):
        raise FoldError(f"fill {event.trade_id} takes its fee in {event.fee_asset}, not in the asset received")
    order.executed += qty
    order.notional += notional
    position = state.positions.setdefault(event.symbol, Position())
    if order.side == Side.BUY:
        _add(state, quote, -notional)
        _add(state, base, qty - fee)
        trade(position, qty - fee, notional, event.ts_ns)
    else:
        _add(state, base, -qty)
        _add(state, quote, notional - fee)
        trade(position, -qty, fee - notional, event.ts_ns)


def trade(position: Position, qty: int, cost: int, ts_ns: int) -> None:
    """Change the position by (qty, cost); what closes turns cost into profit, divisions truncated toward zero."""
    today = ts_ns // DAY_NS
    if position.day != today:
        position.day, position.day_realised = today, 0
    realised = 0
    if qty == 0:
        realised = -cost
    elif position.qty == 0 or (position.qty > 0) == (qty > 0):
        position.qty += qty
        position.cost += cost
    else:
        closing = min(abs(qty), abs(position.qty))
        cost_part = _truncated(position.cost * closing, abs(position.qty))
        cash_part = _truncated(cost * closing, abs(qty))
        realised = -(cash_part + cost_part)
        if abs(qty) > closing:
            position.qty, position.cost = position.qty + qty, cost - cash_part
        else:
            position.qty, position.cost = position.qty + qty, position.cost - cost_part
    position.realised += realised
    position.day_realised += realised


def _truncated(dividend: int, divisor: int) -> int:
    quotient = abs(dividend) // divisor
    return quotient if dividend >= 0 else -quotient
