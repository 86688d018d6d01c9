"""Committed events to subscribers.

Nothing is queued for a subscriber: recent events are held once for all, in a ring an account, and a subscription that falls
behind the ring reads the log. So a stalled reader costs nothing, and none can miss or repeat an event.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from typing import Any, Final, Protocol

import msgspec
import psycopg

from app.database import Pool, cut_after
from app.errors import ExecutionUnavailable, NotFound
from app.market_view import MarketView
from app.ring import Ring, Signal, StreamItem
from app.subscriptions import AccountSubscription, GlobalSubscription

__all__ = ["EventHub", "LogEntry", "StreamItem", "Subscription"]

READ_SECONDS: Final = 1.5
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
    """Where committed events are published and followed; on one event loop.

    `led_elsewhere` tells that another gateway commits now: what it does is read from the log.
    """

    def __init__(self, pool: Pool, led_elsewhere: Callable[[], bool]) -> None:
        self.led_elsewhere = led_elsewhere
        self.markets = Ring()
        self.market_signal = Signal()
        self.log_signal = Signal()
        self.last_xid = 0
        self.version = 0  # counts what may have changed the log
        self._pool = pool
        self._rings: dict[str, Ring] = {}
        self._signals: defaultdict[str, Signal] = defaultdict(Signal)

    def publish(self, entries: Sequence[LogEntry], xid: int = 0) -> None:
        """Hand on what transaction `xid` made durable, in the log's order."""
        for entry in entries:
            self._rings.setdefault(entry.account, Ring(entry.seq - 1)).add(
                StreamItem(str(entry.seq), entry.type, entry.payload)
            )
        for account in {entry.account for entry in entries}:
            self._signals[account].wake()
        self.last_xid = max(self.last_xid, xid)
        self.version += 1
        self.log_signal.wake()

    def publish_market(self, market: MarketView) -> None:
        """Show a market event to every subscriber that keeps up."""
        self.markets.add(StreamItem(None, "market", market.payload))
        self.market_signal.wake()

    def resume(self, heads: Mapping[str, int]) -> None:
        """Set where each account's log ends, after a recovery: what was committed unseen is read from the log."""
        for account, head in heads.items():
            if account not in self._rings or self._rings[account].head != head:
                self._rings[account] = Ring(head)
                self._signals[account].wake()
        self.version += 1
        self.log_signal.wake()

    def ring(self, account: str) -> Ring:
        return self._rings.get(account) or Ring()

    def signal(self, account: str) -> Signal:
        return self._signals[account]

    @asynccontextmanager
    async def subscribe(self, account: str, after_seq: int | None) -> AsyncIterator[Subscription]:
        """Follow one account and the markets; ids are the account's `seq`. None starts at the head.

        An `after_seq` that was pruned or is above the head gives one `reset` item with the head as id first.
        Raises NotFound when there is no such account, ExecutionUnavailable before the first recovery.
        """
        if self.led_elsewhere():
            head = await self.head(account)
            after_seq = head if after_seq is None else after_seq
        elif not self._rings:
            raise ExecutionUnavailable("the accounts are being recovered")
        elif account not in self._rings:
            raise NotFound(f"there is no account {account}")
        yield AccountSubscription(self, account, after_seq)

    @asynccontextmanager
    async def subscribe_all(self, cursor: str | None) -> AsyncIterator[Subscription]:
        """Follow every account and the markets; ids are opaque cursors. None starts at the head.

        Raises BadParams when the cursor is not one of ours, ExecutionUnavailable when the log cannot be read.
        A cursor whose events were pruned, or that lies in the future, gives one `reset` item first.
        """
        yield await GlobalSubscription.open(self, cursor)

    async def head(self, account: str) -> int:
        """The account's last event in the database, published or not. NotFound, ExecutionUnavailable."""
        found = await self.read(_HEAD, (account,))
        if not found:
            raise NotFound(f"there is no account {account}")
        return int(found[0][0])

    async def read(self, query: bytes, values: Sequence[object]) -> list[tuple[Any, ...]]:
        """Rows from the log; ExecutionUnavailable when the database does not answer."""
        try:
            async with self._pool.connection() as connection:
                with cut_after(connection, READ_SECONDS):
                    return await (await connection.execute(query, values)).fetchall()
        except psycopg.Error as error:
            raise ExecutionUnavailable(f"the log cannot be read now: {error}") from error
