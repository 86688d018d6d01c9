"""Recovery: an account is taken up only when log, tables and engine agree on it.

The log is folded (app/fold.py), the engine is filled from the tables, and the three are compared. The chain over the log shows
whether any event was changed, lost or added.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from itertools import zip_longest

import msgspec

from app.checkpoint import Checkpoint, first_checkpoint, read_checkpoint, write_checkpoint
from app.database import Connection, connect, cut_after
from app.engine import Engine
from app.fold import FoldError, State, fold
from app.money import format_units, from_decimal
from app.tables import AccountRows, OrderRow, Tables, read_fills, read_orders, read_tables, rows
from app.wal import next_chain
from app.wire import Fill, decode_accounting, decode_hash, kill_line, limits_line, symbol_line

PAGE = 5000
FOLDED = frozenset({"transfer", "fill", "order_update"})

_LOG = b"""SELECT seq, type, payload::text FROM order_wal WHERE account = %s AND seq > %s ORDER BY seq LIMIT %s"""


class RecoveryMismatch(Exception):
    """Log, tables and engine do not agree; the message names account and difference."""

    def __init__(self, account: str, difference: str) -> None:
        super().__init__(f"account {account}: {difference}")
        self.account = account


class Replay(msgspec.Struct, frozen=True):
    """An account's log folded: where the fold began, its end, and the fills on the way, as `read_fills` gives them."""

    start: int
    end: Checkpoint
    fills: list[str]

    @property
    def length(self) -> int:
        return self.end.seq - self.start


async def recover(
    connection: Connection, engine: Engine, *, timeout: float, checkpoint_events: int, from_start: bool
) -> Tables:
    """Fill the engine from the tables, having found that log, tables and engine agree on every account.

    `timeout` is for each step of the engine. A replay of more than `checkpoint_events` leaves a checkpoint behind.
    Raises RecoveryMismatch, EngineLost, psycopg.Error.
    """
    tables, replays = await _read_and_check(connection, from_start=from_start)
    await engine.ask([f"{symbol_line(spec)} ts=0" for spec in tables.symbols.values()], timeout)
    filled = [
        restore(engine, account, replays[name].end.state.digest(), timeout) for name, account in tables.accounts.items()
    ]
    await asyncio.gather(*filled)
    limits = [f"{limits_line(name, account.limits)} ts=0" for name, account in tables.accounts.items()]
    batch = await engine.ask([*limits, f"{kill_line(on=tables.killed)} ts=0"], timeout)
    if error := batch.error():
        raise RecoveryMismatch("*", f"the engine refuses the limits: {error[0]}, {error[1]}")
    for one in replays.values():
        if one.length > checkpoint_events:
            await write_checkpoint(connection, one.end)
    return tables


async def write_checkpoints(connection: Connection, *, least: int) -> None:
    """Leave a checkpoint where an account has `least` events since its last one. RecoveryMismatch."""
    _, replays = await _read_and_check(connection, from_start=False)
    for one in replays.values():
        if one.length >= least:
            await write_checkpoint(connection, one.end)


def run_checkpoints(dsn: str, timeout: float, least: int) -> None:
    """`write_checkpoints` for a thread of its own. RecoveryMismatch, psycopg.Error."""

    async def run() -> None:
        async with await connect(dsn, statement_timeout=timeout, name="veloz checkpoint") as connection:
            with cut_after(connection, timeout):
                await write_checkpoints(connection, least=least)

    asyncio.run(run())


async def _read_and_check(connection: Connection, *, from_start: bool) -> tuple[Tables, dict[str, Replay]]:
    async with connection.transaction():
        await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        try:
            tables = await read_tables(connection)
        except (LookupError, ValueError, TypeError, AttributeError) as error:
            raise RecoveryMismatch("*", f"the tables hold what cannot be: {error!r}") from error
        assets, replays = tables.assets(), {}
        for name, account in tables.accounts.items():
            replays[name] = await replay(connection, account, assets, from_start=from_start)
            await check_tables(connection, account, replays[name], assets)
    return tables, replays


async def replay(
    connection: Connection, account: AccountRows, assets: Mapping[str, tuple[str, str]], *, from_start: bool
) -> Replay:
    """Fold the account's log from the newest good checkpoint, or from as early as there is log. RecoveryMismatch."""
    name, head = account.account, account.head
    if from_start:
        point = await first_checkpoint(connection, name, head.seq, account.pruned_seq)
    else:
        point = await read_checkpoint(connection, name, head.seq)
    if point.seq < account.pruned_seq:
        raise RecoveryMismatch(name, f"its log begins after {account.pruned_seq} and no good checkpoint is that new")
    state, chain, seq, fills = point.state, point.chain, point.seq, []
    async for number, kind, text in _events(connection, name, point.seq):
        if number != seq + 1:
            raise RecoveryMismatch(name, f"log entry {seq + 1} is missing")
        seq, payload = number, text.encode()
        chain = next_chain(chain, payload)
        if kind in FOLDED:
            try:
                event = decode_accounting(payload)
                fold(state, [event], assets)
            except (msgspec.MsgspecError, FoldError) as error:
                raise RecoveryMismatch(name, f"log entry {seq} cannot be: {error}") from error
            if isinstance(event, Fill):
                fills.append(_fill_line(event))
    if seq != head.seq:
        raise RecoveryMismatch(name, f"its log ends at {seq}, its last entry was {head.seq}")
    if chain != head.chain:
        raise RecoveryMismatch(
            name, f"an entry of its log after {point.seq} was changed: the chain does not end as it did"
        )
    return Replay(point.seq, Checkpoint(seq, chain, state), fills)


async def check_tables(
    connection: Connection, account: AccountRows, replayed: Replay, assets: Mapping[str, tuple[str, str]]
) -> None:
    """Compare the tables with the folded log: balances, positions, open orders, and what the replay closed or filled."""
    name, folded = account.account, replayed.end.state
    try:
        locks = folded.locks(assets)
    except FoldError as error:
        raise RecoveryMismatch(name, str(error)) from error
    _compare(name, "the log", _text(folded, locks), "the tables", _text(account.state, account.locked))
    for symbol, position in account.state.positions.items():
        if account.avg_prices[symbol] != position.avg_price:
            raise RecoveryMismatch(name, f"the average price of {symbol} is not that of its position")
    there = await read_orders(connection, name, list(folded.closed))
    for order_id, order in folded.closed.items():
        row = there[order_id].line() if order_id in there else ""
        _compare(name, "the log", order.line(), "the tables", row)
    fills = await read_fills(connection, name, replayed.start)
    _compare(name, "the log's fills", "\n".join(replayed.fills), "the tables'", "\n".join(fills))


async def restore(engine: Engine, account: AccountRows, digest: str, timeout: float) -> None:
    """Fill the engine from the tables and compare its digest with the log's. RecoveryMismatch, EngineLost."""
    batch = await engine.ask(restore_lines(account), timeout)
    if error := batch.error():
        raise RecoveryMismatch(account.account, f"the engine refuses the tables: {error[0]}, {error[1]}")
    found = decode_hash(batch.events[-1].payload).hash
    if found != digest:
        raise RecoveryMismatch(account.account, f"the engine's state has digest {found}, the log's {digest}")


def restore_lines(account: AccountRows) -> list[str]:
    """The account as RESTORE lines. Their clock is 0, so that nothing expires before the comparison."""
    name, state = account.account, account.state
    lines = [f"RESTORE BEGIN {name} trades={state.trades} ts=0"]
    lines += [
        f"RESTORE BALANCE {asset} {format_units(total)} acct={name} ts=0"
        for asset, total in state.totals.items()
        if total
    ]
    for symbol, one in state.positions.items():
        figures = " ".join(format_units(units) for units in (one.qty, one.cost, one.realised))
        lines.append(f"RESTORE POSITION {symbol} {figures} {one.day} {format_units(one.day_realised)} acct={name} ts=0")
    lines += [_order_line(name, row) for row in account.open_orders]
    lines.append(f"RESTORE END {name} ts=0")
    return lines


def _order_line(account: str, row: OrderRow) -> str:
    order = row.order
    words = [
        f"RESTORE ORDER {order.side} {order.symbol} {format_units(order.qty)} {format_units(order.price)}",
        f"{order.client_order_id} {order.order_type} {order.tif} rank={order.rank}",
        f"executed={format_units(order.executed)} notional={format_units(order.notional)} status={order.status}",
        f"created={row.created_ts_ns} last={row.last_ts_ns} stp={order.stp} triggered={order.triggered:d}",
    ]
    if order.stop_price:
        words.append(f"stop={format_units(order.stop_price)}")
    if order.expire_ts_ns:
        words.append(f"expire={order.expire_ts_ns}")
    if row.reason:
        words.append(f"reason={row.reason}")
    return " ".join([*words, f"acct={account} ts=0"])


async def _events(connection: Connection, account: str, after: int) -> AsyncIterator[tuple[int, str, str]]:
    while True:
        page = await rows(connection, _LOG, account, after, PAGE)
        for seq, kind, text in page:
            yield seq, kind, text
        if len(page) < PAGE:
            return
        after = page[-1][0]


def _fill_line(fill: Fill) -> str:
    amounts = " ".join(str(from_decimal(amount)) for amount in (fill.qty, fill.price, fill.fee))
    return f"{fill.trade_id} {fill.client_order_id} {fill.symbol} {fill.side} {amounts} {fill.fee_asset}"


def _text(state: State, locked: Mapping[str, int]) -> str:
    locks = [f"locked {asset} {amount}\n" for asset, amount in sorted(locked.items()) if amount]
    return state.canonical() + "".join(locks)


def _compare(account: str, one_name: str, one: str, other_name: str, other: str) -> None:
    if one == other:
        return
    for mine, theirs in zip_longest(one.splitlines(), other.splitlines(), fillvalue="nothing"):
        if mine != theirs:
            raise RecoveryMismatch(account, f"{one_name} has {mine!r} where {other_name} have {theirs!r}")
