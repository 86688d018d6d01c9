"""The tables as recovery reads them: all of one snapshot, amounts as 1e-8 units."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any, Final

import msgspec

from app.database import Connection
from app.feeds import SymbolSpec
from app.fold import Order, Position, State
from app.limits import Limits
from app.wal_rows import Head

GLOBAL_KILL: Final = "kill_switch"  # in `config`

_ACCOUNTS = b"""SELECT account, shard, seq, chain, trades, pruned_seq, limits, kill FROM accounts
WHERE shard = ANY(%s) ORDER BY account"""
_SYMBOLS = b"""SELECT symbol, base, quote, (tick * 1e8)::bigint, (lot * 1e8)::bigint, (min_qty * 1e8)::bigint,
(max_qty * 1e8)::bigint, (min_notional * 1e8)::bigint FROM symbols ORDER BY symbol"""
_ORDERS = b"""SELECT account, reason, created_ts_ns, last_ts_ns, client_order_id, symbol, side, order_type, tif, stp,
(qty * 1e8)::bigint, (price * 1e8)::bigint, coalesce((stop_price * 1e8)::bigint, 0), coalesce(expire_ts_ns, 0),
status, triggered, rank, (executed_qty * 1e8)::bigint, (executed_notional * 1e8)::bigint FROM orders """
_OPEN_ORDERS = (
    _ORDERS + b"WHERE account = ANY(%s) AND status IN ('ACCEPTED', 'PARTIALLY_FILLED') ORDER BY account, rank"
)
_THESE_ORDERS = _ORDERS + b"WHERE account = %s AND client_order_id = ANY(%s)"
_BALANCES = b"SELECT account, asset, (free * 1e8)::bigint, (locked * 1e8)::bigint FROM balances WHERE account = ANY(%s)"
_POSITIONS = b"""SELECT account, symbol, trunc(avg_price * 1e8), (qty * 1e8)::bigint, (cost * 1e8)::bigint,
(realised * 1e8)::bigint, day, (day_realised * 1e8)::bigint FROM positions WHERE account = ANY(%s)"""
_FILLS = b"""SELECT trade_id, client_order_id, symbol, side, (qty * 1e8)::bigint, (price * 1e8)::bigint,
(fee * 1e8)::bigint, fee_asset FROM fills WHERE account = %s AND seq > %s ORDER BY trade_id"""
_KILLED = b"SELECT value = 'true'::jsonb FROM config WHERE name = %s"


class OrderRow(msgspec.Struct):
    """An order, with what the fold does not know of it."""

    reason: str
    created_ts_ns: int
    last_ts_ns: int
    order: Order


class AccountRows(msgspec.Struct):
    """All rows of one account; `locked` by asset without zeros, `avg_prices` by symbol."""

    account: str
    head: Head
    pruned_seq: int
    limits: Limits
    state: State
    open_orders: list[OrderRow] = []
    locked: dict[str, int] = {}
    avg_prices: dict[str, int] = {}


class Tables(msgspec.Struct):
    """The database's view of some shards' accounts. `faults`: accounts with rows that cannot be, and why."""

    accounts: dict[str, AccountRows]
    symbols: dict[str, SymbolSpec]
    faults: dict[str, str]

    def assets(self) -> dict[str, tuple[str, str]]:
        """Base and quote of each symbol."""
        return {name: (spec.base, spec.quote) for name, spec in self.symbols.items()}


async def read_tables(connection: Connection, shards: Sequence[int]) -> Tables:
    """All of the shards' accounts; the connection is inside a REPEATABLE READ transaction."""
    tables = Tables({}, await read_symbols(connection), {})
    accounts = tables.accounts
    for name, *row in await rows(connection, _ACCOUNTS, list(shards)):
        with _noted(tables, name):
            accounts[name] = _account(name, *row)
    names = list(accounts)
    for account, *row in await rows(connection, _OPEN_ORDERS, names):
        with _noted(tables, account):
            one = _order(*row)
            accounts[account].open_orders.append(one)
            accounts[account].state.orders[one.order.client_order_id] = one.order
    for account, asset, free, locked in await rows(connection, _BALANCES, names):
        with _noted(tables, account):
            accounts[account].state.totals[asset] = free + locked
            if locked:
                accounts[account].locked[asset] = locked
    for account, symbol, avg_price, *figures in await rows(connection, _POSITIONS, names):
        with _noted(tables, account):
            accounts[account].state.positions[symbol] = Position(*figures)
            accounts[account].avg_prices[symbol] = int(avg_price)  # may be beyond 64 bits
    for account in tables.faults:
        accounts.pop(account, None)
    return tables


async def read_symbols(connection: Connection) -> dict[str, SymbolSpec]:
    return {row[0]: _symbol(*row) for row in await rows(connection, _SYMBOLS)}


async def read_killed(connection: Connection) -> bool:
    """The global kill switch."""
    found = await rows(connection, _KILLED, GLOBAL_KILL)
    return bool(found and found[0][0])


@contextmanager
def _noted(tables: Tables, account: str) -> Iterator[None]:
    try:
        yield
    except (LookupError, ValueError, TypeError, AttributeError) as error:
        tables.faults.setdefault(account, f"the tables hold what cannot be: {error!r}")


async def read_orders(connection: Connection, account: str, ids: list[str]) -> dict[str, Order]:
    """The account's orders of these ids, open or not."""
    found = [_order(*row[1:]).order for row in await rows(connection, _THESE_ORDERS, account, ids)]
    return {order.client_order_id: order for order in found}


async def read_fills(connection: Connection, account: str, after_seq: int) -> list[str]:
    """The account's fills behind `after_seq`, each as `fill_line` writes it."""
    return [" ".join(map(str, row)) for row in await rows(connection, _FILLS, account, after_seq)]


async def rows(connection: Connection, query: bytes, *values: object) -> list[tuple[Any, ...]]:
    return await (await connection.execute(query, values)).fetchall()


def _account(account: str, *row: Any) -> AccountRows:  # noqa: ANN401 - a row of the query's columns
    shard, seq, chain, trades, pruned_seq, limits, kill = row
    return AccountRows(
        account=account,
        head=Head(shard, seq, bytes(chain), trades),
        pruned_seq=pruned_seq,
        limits=Limits.from_texts(limits, kill=kill),
        state=State(account, trades),
    )


def _order(reason: str, created: int, last: int, *columns: Any) -> OrderRow:  # noqa: ANN401
    return OrderRow(reason, created, last, Order(*columns))


def _symbol(symbol: str, base: str, quote: str, *figures: int) -> SymbolSpec:
    tick, lot, min_qty, max_qty, min_notional = figures
    return SymbolSpec(
        symbol=symbol,
        base=base,
        quote=quote,
        tick=tick,
        lot=lot,
        min_qty=min_qty,
        max_qty=max_qty,
        min_notional=min_notional,
    )
