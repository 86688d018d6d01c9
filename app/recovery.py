"""Recovery: an account is taken up only when log, tables and engine agree on it.

The log is folded (app/fold.py) and compared with the tables; then the engine is filled from the tables and compared by its digest
(app/tenure.py). The chain over the log shows whether any event was changed, lost or added.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Container, Mapping, Sequence
from itertools import zip_longest
from typing import Any

import msgspec

from app.checkpoint import Checkpoint, first_checkpoint, read_checkpoint, write_checkpoint
from app.database import Connection, connect, cut_after
from app.engine import Batch
from app.fold import FoldError, State, fold
from app.money import format_units, from_decimal
from app.tables import AccountRows, OrderRow, read_fills, read_orders, read_tables, rows
from app.wal import next_chain
from app.wire import Fill, decode_accounting, decode_hash, limits_line

PAGE = 5000
SMALL_PAGE = 200  # folded in a millisecond or two
FOLDED = frozenset({"transfer", "fill", "order_update"})

_LOG = b"""SELECT seq, type, payload::text FROM order_wal WHERE account = %s AND seq > %s ORDER BY seq LIMIT %s"""


class RecoveryMismatch(Exception):
    """Log, tables and engine do not agree; the message names account and difference."""

    def __init__(self, account: str, difference: str) -> None:
        super().__init__(f"account {account}: {difference}")
        self.account = account
        self.difference = difference


class Replay(msgspec.Struct, frozen=True):
    """An account's log folded: where the fold began, its end, and the fills on the way, as `read_fills` gives them."""

    start: int
    end: Checkpoint
    fills: list[str]

    @property
    def length(self) -> int:
        return self.end.seq - self.start


class Proven(msgspec.Struct, frozen=True):
    """An account of which log and tables agree, ready to be put into an engine."""

    rows: AccountRows
    replay: Replay


async def prove(
    connection: Connection, shards: Sequence[int], *, from_start: bool, only: Container[str] | None = None
) -> tuple[list[Proven], dict[str, str]]:
    """Compare log and tables of the shards' accounts, of one moment: those that agree, and of the others what differs.

    `only`: of the accounts with these names.
    """
    proven, faults = [], {}
    async with connection.transaction():
        await connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
        tables = await read_tables(connection, shards)
        faults.update(tables.faults)
        assets = tables.assets()
        for name, account in tables.accounts.items():
            if only is not None and name not in only:
                continue
            try:
                found = await replay(connection, account, assets, from_start=from_start)
                await check_tables(connection, account, found, assets)
            except RecoveryMismatch as error:
                faults[name] = error.difference
            else:
                proven.append(Proven(account, found))
    return proven, faults


async def write_checkpoints(
    connection: Connection, shards: Sequence[int], *, least: int, without: Container[str] = ()
) -> None:
    """Leave a checkpoint where an account has `least` events since its last one. RecoveryMismatch names who differs."""
    proven, faults = await prove(connection, shards, from_start=False)
    for name, difference in faults.items():
        if name not in without:
            raise RecoveryMismatch(name, difference)
    for one in proven:
        if one.replay.length >= least:
            await write_checkpoint(connection, one.replay.end)


def run_checkpoints(dsn: str, timeout: float, shards: Sequence[int], least: int, without: Container[str]) -> None:
    """`write_checkpoints` for a thread of its own. RecoveryMismatch, psycopg.Error."""

    async def run() -> None:
        async with await connect(dsn, statement_timeout=timeout, name="veloz checkpoint") as connection:
            with cut_after(connection, timeout):
                await write_checkpoints(connection, shards, least=least, without=without)

    asyncio.run(run())


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
    folding = _Folding(name, assets, point)
    async for page in _pages(connection, name, point.seq):
        if len(page) > SMALL_PAGE:  # the accounts in service must not wait for this one
            await asyncio.to_thread(folding.take, page)
        else:
            folding.take(page)
    if folding.seq != head.seq:
        raise RecoveryMismatch(name, f"its log ends at {folding.seq}, its last entry was {head.seq}")
    if folding.chain != head.chain:
        raise RecoveryMismatch(
            name, f"an entry of its log after {point.seq} was changed: the chain does not end as it did"
        )
    return Replay(point.seq, Checkpoint(folding.seq, folding.chain, folding.state), folding.fills)


class _Folding:
    """An account's log on its way through the fold."""

    def __init__(self, account: str, assets: Mapping[str, tuple[str, str]], point: Checkpoint) -> None:
        self.state, self.chain, self.seq = point.state, point.chain, point.seq
        self.fills: list[str] = []
        self._account = account
        self._assets = assets

    def take(self, page: Sequence[tuple[int, str, str]]) -> None:
        """RecoveryMismatch."""
        for number, kind, text in page:
            if number != self.seq + 1:
                raise RecoveryMismatch(self._account, f"log entry {self.seq + 1} is missing")
            self.seq, payload = number, text.encode()
            self.chain = next_chain(self.chain, payload)
            if kind not in FOLDED:
                continue
            try:
                event = decode_accounting(payload)
                fold(self.state, [event], self._assets)
            except (msgspec.MsgspecError, FoldError) as error:
                raise RecoveryMismatch(self._account, f"log entry {self.seq} cannot be: {error}") from error
            if isinstance(event, Fill):
                self.fills.append(_fill_line(event))


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


def difference_of(batch: Batch, digest: str) -> str | None:
    """What the engine says of an account that was restored and is to have this digest; None when it agrees."""
    if error := batch.error():
        return f"the engine refuses the tables: {error[0]}, {error[1]}"
    found = next((decode_hash(event.payload).hash for event in batch.events if event.type == "hash"), "none")
    return None if found == digest else f"the engine's state has digest {found}, the log's {digest}"


def restore_lines(account: AccountRows) -> list[str]:
    """The account and its limits as lines that leave the engine's clock alone; before END that does not reach the account."""
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
    lines.append(f"{limits_line(name, account.limits)} ts=0")
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


async def _pages(connection: Connection, account: str, after: int) -> AsyncIterator[Sequence[tuple[int, str, str]]]:
    while True:
        page: list[Any] = await rows(connection, _LOG, account, after, PAGE)
        yield page
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
