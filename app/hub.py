"""Committed events to subscribers.

Nothing is queued for a subscriber: recent events are held once for all, in a ring a followed account, and a subscription that
falls behind the ring reads the log. So a stalled reader costs nothing, and none can miss or repeat an event, whoever brings
them: this gateway's commits, another's by way of Redis, or a look into the log.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from typing import Any, Final, Protocol

import msgspec
import psycopg

from app.database import Pool, cut_after
from app.errors import ExecutionUnavailable, NotFound
from app.market_view import MarketView
from app.ring import Ring, Signal, StreamItem
from app.subscriptions import AccountSubscription, Followed, GlobalSubscription

__all__ = ["EventHub", "LogEntry", "StreamItem", "Subscription"]

READ_SECONDS: Final = 1.5
PAGES_AT_ONCE: Final = 2  # read from the log: the pool is the order path's too
_HEAD: Final = b"SELECT seq FROM accounts WHERE account = %s"


class LogEntry(msgspec.Struct, frozen=True):
    """One event of the log; `payload` is the engine's JSON text without `req`."""

    account: str
    seq: int
    type: str
    client_order_id: str | None
    payload: bytes
    ts_ns: int


class Subscription(Protocol):
    """A place in a stream."""

    async def next(self, timeout: float) -> list[StreamItem]:
        """The next events in order, at most a page; [] when nothing came for `timeout` seconds (send a heartbeat)."""
        ...


class EventHub:
    """Where committed events are handed in and followed; on one event loop. It does not care who owns an account."""

    def __init__(self, pool: Pool) -> None:
        self.markets = Ring()
        self.market_signal = Signal()
        self.log_signal = Signal()
        self.last_xid = 0
        self.version = 0  # counts what may have changed the log
        self.global_followers = 0
        self.changed = asyncio.Event()  # what is followed, or who owns it: for whoever brings others' events
        self._pool = pool
        self._followed: dict[str, Followed] = {}
        self._turn = asyncio.Semaphore(PAGES_AT_ONCE)

    def publish(self, entries: Sequence[LogEntry], xid: int = 0) -> None:
        """Hand on what transaction `xid` made durable, in the log's order."""
        touched: set[str] = set()
        for entry in entries:
            followed = self._followed.get(entry.account)
            if followed is not None:
                followed.ring.add(StreamItem(str(entry.seq), entry.type, entry.payload), entry.seq)
                touched.add(entry.account)
        for account in touched:
            self._followed[account].signal.wake()
        if entries:
            self.committed(xid)

    def committed(self, xid: int) -> None:
        """Transaction `xid` appended to the log: whoever follows all accounts looks there."""
        self.last_xid = max(self.last_xid, xid)
        self.version += 1
        self.log_signal.wake()

    def receive(self, account: str, first: int, items: Sequence[tuple[str, bytes]]) -> bool:
        """Take an account's events, numbered from `first`, as (type, payload). False, and nothing taken: a gap before them."""
        followed = self._followed.get(account)
        if followed is None:
            return True
        if first > followed.ring.head + 1:
            return False
        for seq, (kind, payload) in enumerate(items, first):
            followed.ring.add(StreamItem(str(seq), kind, payload), seq)
        followed.signal.wake()
        return True

    def noticed(self, heads: Mapping[str, int]) -> None:
        """Where the accounts' logs are known to end, at least: what subscribers lack up to there they read."""
        for account, head in heads.items():
            followed = self._followed.get(account)
            if followed is not None and followed.ring.reach(head):
                followed.signal.wake()

    def resume(self, heads: Mapping[str, int]) -> None:
        """These accounts were recovered here, their logs ending so: their own commits come next."""
        self.noticed(heads)
        self.committed(0)

    def forget(self, accounts: Iterable[str]) -> None:
        """Another gateway will commit for these accounts: events of those followed here must be brought from there."""
        if any(account in self._followed for account in accounts):
            self.changed.set()

    def publish_market(self, market: MarketView) -> None:
        """Show a market event to every subscriber that keeps up."""
        self.markets.add(StreamItem(None, "market", market.payload))
        self.market_signal.wake()

    def heads(self) -> dict[str, int]:
        """The followed accounts, and the last event known of each."""
        return {account: followed.ring.head for account, followed in self._followed.items()}

    @asynccontextmanager
    async def subscribe(self, account: str, after_seq: int | None) -> AsyncIterator[Subscription]:
        """Follow one account and the markets; ids are the account's `seq`. None starts at the head.

        An `after_seq` that was pruned or is above the head gives one `reset` item with the head as id first.
        Raises NotFound when there is no such account, ExecutionUnavailable when the database does not answer.
        """
        with self._following(account) as followed:
            # Followed first: what is committed while this reads is in the ring, or in what it reads.
            async with followed.asking:
                if not followed.known:
                    self.noticed({account: await self.head(account)})
                    followed.known = True
            yield AccountSubscription(self, account, followed, after_seq)

    @contextmanager
    def _following(self, account: str) -> Iterator[Followed]:
        followed = self._followed.setdefault(account, Followed())
        followed.readers += 1
        if followed.readers == 1:
            self.changed.set()
        try:
            yield followed
        finally:
            followed.readers -= 1
            if not followed.readers:
                del self._followed[account]
                self.changed.set()

    @asynccontextmanager
    async def subscribe_all(self, cursor: str | None) -> AsyncIterator[Subscription]:
        """Follow every account and the markets; ids are opaque cursors. None starts at the head.

        Raises BadParams when the cursor is not one of ours, ExecutionUnavailable when the log cannot be read.
        A cursor whose events were pruned, or that lies in the future, gives one `reset` item first.
        """
        self.global_followers += 1
        self.changed.set()
        try:
            yield await GlobalSubscription.open(self, cursor)
        finally:
            self.global_followers -= 1

    async def head(self, account: str) -> int:
        """The account's last event in the database, published or not. NotFound, ExecutionUnavailable."""
        found = await self.read(_HEAD, (account,))
        if not found:
            raise NotFound(f"there is no account {account}")
        return int(found[0][0])

    async def page(self, query: bytes, values: Sequence[object]) -> list[tuple[Any, ...]]:
        """As `read`, for what many readers may want at once: they wait for each other, not the order path for them."""
        try:
            async with asyncio.timeout(READ_SECONDS):
                await self._turn.acquire()
        except TimeoutError:
            raise ExecutionUnavailable("too many read the log now") from None
        try:
            return await self.read(query, values)
        finally:
            self._turn.release()

    async def read(self, query: bytes, values: Sequence[object]) -> list[tuple[Any, ...]]:
        """Rows from the log; ExecutionUnavailable when the database does not answer."""
        try:
            async with self._pool.connection() as connection:
                with cut_after(connection, READ_SECONDS):
                    return await (await connection.execute(query, values)).fetchall()
        except psycopg.Error as error:
            raise ExecutionUnavailable(f"the log cannot be read now: {error}") from error
