"""The market as last seen, what the gateway is configured to do, and the engine's pulse."""

from __future__ import annotations

import time
from typing import Any, Literal

import msgspec

from app.errors import NotFound
from app.market_view import MarketView
from app.money import format_units
from app.operation import Call, Decimal, Nothing, NullableDecimal
from app.paging import raw
from app.params import Token


class Market(msgspec.Struct, frozen=True, kw_only=True):
    """`price` and `qty` are of the last print. `ts_ns` is 0 and amounts are null before the first event."""

    symbol: str
    price: NullableDecimal
    ts_ns: int
    qty: NullableDecimal
    bid: NullableDecimal
    bid_qty: NullableDecimal
    ask: NullableDecimal
    ask_qty: NullableDecimal
    age_seconds: float | None


class Markets(msgspec.Struct, frozen=True):
    items: list[Market]


class MarketQuery(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    symbol: Token | None = None


class Configuration(msgspec.Struct, frozen=True, kw_only=True):
    """What this gateway does; no secret is in it."""

    market_source: str
    market_symbol: str
    market_symbols: list[str]
    binance_base_url: str
    execution_mode: str
    binance_trade_enabled: bool
    binance_trade_base_url: str
    binance_user_stream_connected: bool
    auth_enabled: bool


class Pulse(msgspec.Struct, frozen=True):
    seconds: float


class Ping(msgspec.Struct, frozen=True):
    ok: Literal[True]
    result: Pulse


def market_of(symbol: str, view: MarketView | None) -> Market:
    if view is None:
        empty = dict.fromkeys(("price", "qty", "bid", "bid_qty", "ask", "ask_qty"), raw(None))
        return Market(symbol=symbol, ts_ns=0, age_seconds=None, **empty)
    return Market(
        symbol=symbol,
        price=_amount(view.price),
        ts_ns=view.ts_ns,
        qty=_amount(view.qty),
        bid=_amount(view.bid),
        bid_qty=_amount(view.bid_qty),
        ask=_amount(view.ask),
        ask_qty=_amount(view.ask_qty),
        age_seconds=max(0, time.time_ns() - view.received_ns) / 1e9,
    )


def _amount(units: int | None) -> Decimal:
    return raw(None if units is None else format_units(units))


def _symbols(call: Call[Any, Any]) -> list[str]:
    return [instrument.symbol for instrument in call.services.settings.symbols]


async def one(call: Call[MarketQuery, Any]) -> Market:
    symbols = _symbols(call)
    symbol = symbols[0] if call.query.symbol is None else str(call.query.symbol)
    if symbol not in symbols:
        raise NotFound(f"there is no symbol {symbol!r}; there are {', '.join(symbols)}")
    return market_of(symbol, call.services.exchange.markets.get(symbol))


async def every(call: Call[Nothing, Any]) -> Markets:
    markets = call.services.exchange.markets
    return Markets([market_of(symbol, markets.get(symbol)) for symbol in _symbols(call)])


async def configuration(call: Call[Nothing, Any]) -> Configuration:
    settings = call.services.settings
    return Configuration(
        market_source=settings.market_source,
        market_symbol=settings.market_symbol[0],
        market_symbols=_symbols(call),
        binance_base_url=settings.binance_base_url,
        execution_mode=settings.execution_mode,
        binance_trade_enabled=False,
        binance_trade_base_url=settings.binance_trade_base_url,
        binance_user_stream_connected=False,
        auth_enabled=settings.auth,
    )


async def ping(call: Call[Nothing, Any]) -> Ping:
    return Ping(True, Pulse(await call.services.exchange.ping()))
