"""Pruning: log entries that are too old or too many go, a few at a time, and never what a recovery may need."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection, Sequence
from typing import Final, TypeAlias

import msgspec
import psycopg

from app.checkpoint import KEPT, good_checkpoints
from app.database import Pool, cut_after
from app.errors import VelozError
from app.metrics_core import CoreMetrics
from app.tables import rows
from app.wal_rows import FENCE

EVERY_SECONDS: Final = 60.0
BATCH: Final = 2000  # entries in a transaction: it holds the account's row for a commit's time
PAUSE_SECONDS: Final = 0.05  # between two transactions, for the order path
CUT_SECONDS: Final = 2.0
_DAY_NS: Final = 86_400 * 10**9
_LOG = logging.getLogger("veloz.prune")

Row: TypeAlias = tuple[int, str, int]  # seq, xid, ts_ns
Held: TypeAlias = Callable[[str], tuple[str, list[int], list[int]]]

_LOGS = b"""SELECT a.account, a.seq, a.pruned_seq, w.ts_ns FROM accounts a
JOIN order_wal w ON w.account = a.account AND w.seq = a.pruned_seq + 1 WHERE a.account = ANY(%s)"""
_OLDEST = b"""SELECT seq, xid::text, ts_ns FROM order_wal
WHERE account = %s AND seq > %s AND seq <= %s ORDER BY seq LIMIT %s"""
_DELETE = b"""WITH gone AS (DELETE FROM order_wal WHERE account = %s AND seq > %s AND seq <= %s RETURNING 1)
SELECT veloz_expect(count(*), %s, 'log entries to prune') FROM gone"""
_MARK = b"""WITH marked AS (
    UPDATE accounts SET pruned_seq = %s, pruned_xid = %s::text::xid8 WHERE account = %s AND pruned_seq = %s RETURNING 1)
SELECT veloz_expect(count(*), 1, 'accounts pruned') FROM marked"""


class Keep(msgspec.Struct, frozen=True):
    """What stays: entries younger than `days`, and the newest `events`, an account. 0: no limit of that kind."""

    days: float = 0.0
    events: int = 0

    def __bool__(self) -> bool:
        return bool(self.days or self.events)

    def goes(self, seq: int, ts_ns: int, *, head: int, now_ns: int) -> bool:
        """Whether an entry is too old, or one of too many."""
        aged = bool(self.days) and now_ns - ts_ns > self.days * _DAY_NS
        return aged or (bool(self.events) and seq <= head - self.events)


class AccountLog(msgspec.Struct, frozen=True):
    """One account's log: its end, what was pruned of it, and the time of the oldest entry."""

    account: str
    head: int
    pruned: int
    oldest_ns: int


def last_to_go(oldest: Sequence[Row], keep: Keep, *, head: int, now_ns: int) -> Row | None:
    """The end of the oldest entries that go; what is behind one that stays, stays."""
    last = None
    for row in oldest:
        if not keep.goes(row[0], row[2], head=head, now_ns=now_ns):
            break
        last = row
    return last


class Pruner:
    """Prunes the logs of accounts that `owned` lists; `held` gives what a fence checks for one, VelozError or KeyError."""

    def __init__(
        self, pool: Pool, keep: Keep, *, owned: Callable[[], Collection[str]], held: Held, metrics: CoreMetrics
    ) -> None:
        self._pool = pool
        self._keep = keep
        self._owned = owned
        self._held = held
        self._metrics = metrics

    async def run(self) -> None:
        """Prune every minute until cancelled."""
        while self._keep:
            await asyncio.sleep(EVERY_SECONDS)
            try:
                await self.prune()
            except psycopg.Error as error:
                _LOG.warning("the log is not pruned now", extra={"why": str(error)})

    async def prune(self) -> int:
        """Prune what is due; returns how many entries went. psycopg.Error."""
        now_ns, count = time.time_ns(), 0
        for log in await self._logs():
            if self._keep.goes(log.pruned + 1, log.oldest_ns, head=log.head, now_ns=now_ns):
                count += await self._prune_account(log, now_ns)
        return count

    async def _logs(self) -> list[AccountLog]:
        async with self._pool.connection() as connection:
            with cut_after(connection, CUT_SECONDS):
                return [AccountLog(*row) for row in await rows(connection, _LOGS, list(self._owned()))]

    async def _prune_account(self, log: AccountLog, now_ns: int) -> int:
        """Batch by batch, as far as the older of KEPT good checkpoints: whichever is damaged later, another serves."""
        pruned, floor = log.pruned, await self._floor(log)
        while (done := await self._batch(log, pruned, floor, now_ns)) > pruned:
            self._metrics.pruned.inc(done - pruned)
            pruned = done
            await asyncio.sleep(PAUSE_SECONDS)
        return pruned - log.pruned

    async def _floor(self, log: AccountLog) -> int:
        async with self._pool.connection() as connection:
            with cut_after(connection, CUT_SECONDS):
                points = await good_checkpoints(connection, log.account, log.head)
        return points[-1].seq if len(points) >= KEPT else 0

    async def _batch(self, log: AccountLog, pruned: int, floor: int, now_ns: int) -> int:
        """Prune some entries behind `pruned`; returns the last that is pruned then."""
        async with self._pool.connection() as connection:
            with cut_after(connection, CUT_SECONDS):
                oldest = await rows(connection, _OLDEST, log.account, pruned, floor, BATCH)
                last = last_to_go(oldest, self._keep, head=log.head, now_ns=now_ns)
                if last is None:
                    return pruned
                try:
                    fence = self._held(log.account)
                except (VelozError, KeyError):
                    return pruned  # its shard left meanwhile
                seq, xid, _ = last
                async with connection.pipeline(), connection.transaction():
                    await connection.execute(FENCE, fence)
                    await connection.execute(_DELETE, (log.account, pruned, seq, seq - pruned))
                    await connection.execute(_MARK, (seq, xid, log.account, pruned))
        return seq
