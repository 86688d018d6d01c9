"""Committed events to subscribers.

Nothing is queued for a subscriber: recent events are held once for all in a ring for each account, and a subscription that falls
behind the ring reads the log. So a stalled reader costs nothing, and none can miss or repeat an event.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Protocol

import msgspec
from psycopg import AsyncConnection
from psycopg.rows import TupleRow
from psycopg_pool import AsyncConnectionPool

from app.market_view import MarketView


class LogEntry(msgspec.Struct, frozen=True):
    """One committed event; `payload` is the engine's JSON text without `req`, `xid` the transaction that wrote it."""

    account: str
    seq: int
    type: str
    client_order_id: str | None
    payload: bytes
    xid: int = 0


class StreamItem(msgspec.Struct, frozen=True):
    """One event for a subscriber: `id` is what to resume after (None for market events), `payload` JSON text."""

    id: str | None
    type: str
    payload: bytes


class Subscription(Protocol):
    """A place in a stream."""

    async def next(self, timeout: float) -> list[StreamItem]:
        """The next events in order, at most a page; [] when nothing came for `timeout` seconds (send a heartbeat)."""
        ...


class EventHub:
    """Where committed events are published and followed; on one event loop."""

    def __init__(self, pool: AsyncConnectionPool[AsyncConnection[TupleRow]]) -> None:
        self._pool = pool

    def publish(self, entries: Sequence[LogEntry]) -> None:
        """Hand on what a commit made durable, in commit order."""
        raise NotImplementedError

    def publish_market(self, market: MarketView) -> None:
        raise NotImplementedError

    @asynccontextmanager
    async def subscribe(self, account: str, after_seq: int | None) -> AsyncIterator[Subscription]:
        """Follow one account and the markets; ids are the account's `seq`. None starts at the head.

        An `after_seq` that was pruned or is above the head gives one `reset` item with the head as id first.
        Raises NotFound when there is no such account.
        """
        raise NotImplementedError
        yield

    @asynccontextmanager
    async def subscribe_all(self, cursor: str | None) -> AsyncIterator[Subscription]:
        """Follow every account and the markets; ids are opaque cursors. None starts at the head.

        Raises BadParams when the cursor is not one of ours. A cursor whose events were pruned gives `reset` first.
        """
        raise NotImplementedError
        yield
