"""The durable log: batches of events become rows, many batches a transaction.

One committer, one transaction at a time; what is queued meanwhile goes into the next one, in one round trip. Nothing is
published or answered before its commit.
"""

from __future__ import annotations

import asyncio
import hashlib
import time
from collections.abc import Callable, Mapping, Sequence

import psycopg

from app.database import Connection, confirmed, cut_after
from app.fencing import FENCED, Fenced
from app.hub import LogEntry
from app.metrics_core import CoreMetrics
from app.wal_rows import Append, FirstAnswer, Head, Opening, Rows
from app.wire import DURABLE, Event, decode_fill

MOST_EVENTS = 4000  # in one transaction, but for a batch that has more: some 50 ms of the server's work
SECONDS_AN_EVENT = 0.0005  # 25 times what one takes, 4 times a busy machine's: very many must not fail for ever
_PATIENCE = b"SELECT set_config('statement_timeout', %s, true)"


def next_chain(chain: bytes, payload: bytes) -> bytes:
    """The chain after one more event."""
    return hashlib.sha256(chain + payload).digest()


class OrderLog:
    """The log of one engine, for the shards in `epochs`. After a failure it is of no more use: who knows what a lost commit did.

    `heads`: where the log of each account in the engine ends. Events of the accounts in `ignored` are dropped: those are in the
    engine by mistake and are being taken out of it.
    """

    def __init__(
        self,
        connection: Connection,
        owner: str,
        epochs: Mapping[int, int],
        publish: Callable[[Sequence[Append], int], None],
        metrics: CoreMetrics,
        commit_timeout: float,
    ) -> None:
        self.heads: dict[str, Head] = {}
        self.ignored: set[str] = set()
        self.appended = 0  # events
        self._connection = connection
        self._owner = owner
        self._epochs = epochs
        self._publish = publish
        self._metrics = metrics
        self._commit_timeout = commit_timeout
        self._queue: list[Append] = []
        self._queued = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()

    def append(
        self,
        events: Sequence[Event],
        settle: Callable[[Append], None],
        *,
        first: Callable[[list[LogEntry]], FirstAnswer | None] | None = None,
        opening: Opening | None = None,
    ) -> None:
        """Queue one batch. `first` may make a new order's first answer of the numbered events.

        After the commit `settle` is called, in the log's order.
        """
        entries: list[LogEntry] = []
        others: list[Event] = []
        heads: dict[str, Head] = {}
        if opening is not None:
            heads[opening.account] = self.heads[opening.account] = Head(opening.shard)
        for event in events:
            if event.type not in DURABLE or event.account is None:
                others.append(event)
                continue
            if event.account in self.ignored:
                continue
            head = self._advance(event.account, event)
            heads[event.account] = head
            entries.append(
                LogEntry(event.account, head.seq, event.type, event.client_order_id, event.payload, event.ts_ns)
            )
        self.appended += len(entries)
        answer = first(entries) if first else None
        self._queue.append(Append(entries, others, heads, settle, answer, opening))
        self._queued.set()
        self._idle.clear()

    async def flushed(self) -> None:
        """Return when nothing is queued or being committed."""
        await self._idle.wait()

    async def run(self) -> None:
        """Commit until cancelled. Fenced, or psycopg.Error when a commit failed or its outcome is unknown."""
        while True:
            await self._queued.wait()
            group = self._next_group()
            xid = await self._commit(group) if any(append.heads for append in group) else 0
            self._publish(group, xid)
            for append in group:
                append.settle(append)
            if not self._queue:
                self._idle.set()

    def _advance(self, account: str, event: Event) -> Head:
        before = self.heads[account]
        trades = decode_fill(event.payload).trade_id if event.type == "fill" else before.trades
        head = Head(before.shard, before.seq + 1, next_chain(before.chain, event.payload), trades)
        self.heads[account] = head
        return head

    def _next_group(self) -> list[Append]:
        group: list[Append] = []
        events = 0
        for append in self._queue:
            group.append(append)
            events += len(append.entries)
            if events >= MOST_EVENTS:
                break
        del self._queue[: len(group)]
        if not self._queue:
            self._queued.clear()
        return group

    async def _commit(self, group: Sequence[Append]) -> int:
        start = time.monotonic()
        rows = Rows(self._owner, self._epochs, group)
        events = sum(len(append.entries) for append in group)
        try:
            patience = self._commit_timeout + events * SECONDS_AN_EVENT
            with cut_after(self._connection, patience), confirmed(self._connection):
                async with self._connection.pipeline(), self._connection.transaction():
                    if events > MOST_EVENTS:
                        await self._connection.execute(_PATIENCE, (f"{patience * 1000:.0f}",))
                    cursors = [await self._connection.execute(*one, prepare=True) for one in rows.statements()]
                row = await cursors[0].fetchone()
        except psycopg.Error as error:
            if error.sqlstate == FENCED:
                raise Fenced(error.diag.message_primary) from error
            raise
        self._metrics.commit_seconds.observe(time.monotonic() - start)
        self._metrics.commit_events.observe(events)
        return int(row[0]) if row else 0
