"""Places in the streams: one account's, and everybody's.

Both pull: from the ring while they keep up, else from the log, page by page.
"""

from __future__ import annotations

import asyncio
import base64
import binascii
import time
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol, TypeAlias

import msgspec

from app.errors import BadParams, ExecutionUnavailable
from app.ring import PAGE, Ring, Signal, StreamItem, page

RETRY_SECONDS: Final = 0.5  # after a read of the log that failed
UNSEEN_SECONDS: Final = 0.02  # after one that did not show yet what is committed, because older transactions run
LOOK_SECONDS: Final = 1.0  # though nothing woke it

Place: TypeAlias = tuple[int, str, int]  # xid, account, seq: greater than every event already delivered

_ACCOUNT_PAGE = b"""SELECT seq, type, payload::text FROM order_wal
WHERE account = %s AND seq > %s AND seq <= %s ORDER BY seq LIMIT %s"""

# Below xmin no transaction can commit any more, so nothing appears behind a place that was passed.
_MISSED = b"""EXISTS (SELECT FROM accounts
WHERE (pruned_xid, account, pruned_seq) > (%s::text::xid8, %s, %s))"""

# The oldest xid that still runs: below it no transaction can commit any more, so nothing appears behind a place that was passed.
_XMIN = b"pg_snapshot_xmin(pg_current_snapshot())"

_GLOBAL_PAGE = (
    b"""SELECT xid::text::bigint, account, seq, type, payload::text, """
    + _MISSED
    + b""" FROM order_wal
WHERE (xid, account, seq) > (%s::text::xid8, %s, %s) AND xid < """
    + _XMIN
    + b""" ORDER BY xid, account, seq LIMIT %s"""
)

_NEWEST = b"SELECT " + _XMIN + b"::text::bigint, " + _MISSED

_place = msgspec.json.Decoder(tuple[int, str, int]).decode


class Followed:
    """An account that subscriptions follow: what came of it, and how many there are.

    The ring's head is `known` once the database was asked, by one of them.
    """

    def __init__(self) -> None:
        self.known = False
        self.asking = asyncio.Lock()
        self.ring = Ring()
        self.signal = Signal()
        self.readers = 0


class Hub(Protocol):
    """What a subscription needs of the hub."""

    markets: Ring
    market_signal: Signal
    log_signal: Signal
    last_xid: int
    version: int

    async def head(self, account: str) -> int: ...

    def noticed(self, heads: Mapping[str, int]) -> None: ...

    async def read(self, query: bytes, values: Sequence[object]) -> list[tuple[Any, ...]]: ...

    async def page(self, query: bytes, values: Sequence[object]) -> list[tuple[Any, ...]]: ...


class _Subscription(ABC):
    def __init__(self, hub: Hub, signal: Signal) -> None:
        self._hub = hub
        self._signals = (signal, hub.market_signal)
        self._market_position = hub.markets.head

    async def next(self, timeout: float) -> list[StreamItem]:
        """The next events in order, at most a page of each kind; [] when nothing came for `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while True:
            patience = LOOK_SECONDS
            items = self._market()
            try:
                items += await self._durable()
            except ExecutionUnavailable:
                patience = RETRY_SECONDS
            left = deadline - time.monotonic()
            if items or left <= 0:
                return items
            await Signal.wait_any(self._signals, min(left, patience, self._patience()))

    @abstractmethod
    async def _durable(self) -> list[StreamItem]: ...

    def _patience(self) -> float:
        return LOOK_SECONDS

    def _market(self) -> list[StreamItem]:
        ring = self._hub.markets
        items = ring.after(max(self._market_position, ring.first - 1)) or []
        self._market_position = max(self._market_position, ring.first - 1) + len(items)
        return items


class AccountSubscription(_Subscription):
    """One account's events after `after_seq` (None: after the newest), and the markets'."""

    def __init__(self, hub: Hub, account: str, followed: Followed, after_seq: int | None) -> None:
        super().__init__(hub, followed.signal)
        self._account = account
        self._ring = followed.ring
        self._position = followed.ring.head if after_seq is None else after_seq

    async def _durable(self) -> list[StreamItem]:
        ring = self._ring
        if self._position > ring.head:  # an id of the future, or one that did not reach this gateway yet
            head = await self._hub.head(self._account)
            if self._position > head:
                return self._reset(head)
            self._hub.noticed({self._account: head})
        items = ring.after(self._position)
        if items is None:
            return await self._logged(ring.head)
        self._position += len(items)
        return items

    async def _logged(self, head: int) -> list[StreamItem]:
        """From the log, as far as `head`; it may be pruned, even while a stalled reader is on its way through it."""
        rows = await self._hub.page(_ACCOUNT_PAGE, (self._account, self._position, head, PAGE))
        if not rows or rows[0][0] != self._position + 1:
            return self._reset(head)
        items = page(StreamItem(str(seq), kind, payload.encode()) for seq, kind, payload in rows)
        self._position += len(items)
        return items

    def _reset(self, head: int) -> list[StreamItem]:
        self._position = head
        payload = msgspec.json.encode({"type": "reset", "account": self._account, "seq": head})
        return [StreamItem(str(head), "reset", payload)]


class GlobalSubscription(_Subscription):
    """All accounts' events after a place, in the order of their transactions, and the markets'."""

    def __init__(self, hub: Hub, place: Place, *, reset: bool) -> None:
        super().__init__(hub, hub.log_signal)
        self._place = place
        self._reset = reset
        self._seen = -1
        self._look_again = 0.0

    @classmethod
    async def open(cls, hub: Hub, cursor: str | None) -> GlobalSubscription:
        """At the cursor, or with None at the end. BadParams, ExecutionUnavailable."""
        place = (0, "", 0) if cursor is None else read_cursor(cursor)
        newest, missed = await _newest(hub, place)
        if cursor is None:
            return cls(hub, newest, reset=False)
        if missed or place > newest:
            return cls(hub, newest, reset=True)
        return cls(hub, place, reset=False)

    async def _durable(self) -> list[StreamItem]:
        if self._reset:
            self._reset = False
            return [StreamItem(write_cursor(self._place), "reset", b'{"type":"reset"}')]
        if self._hub.version == self._seen and time.monotonic() < self._look_again:
            return []
        version = self._hub.version
        place = _values(self._place)
        rows = await self._hub.page(_GLOBAL_PAGE, (*place, *place, PAGE))
        if not rows:
            self._seen = version
            self._look_again = time.monotonic() + self._patience()
            return []
        if rows[0][5]:  # pruned before this reader came so far
            self._place, _ = await _newest(self._hub, self._place)
            self._reset = True
            return await self._durable()
        items = page(StreamItem(write_cursor((row[0], row[1], row[2])), row[3], row[4].encode()) for row in rows)
        self._place = rows[len(items) - 1][:3]
        return items

    def _patience(self) -> float:
        return UNSEEN_SECONDS if self._place[0] < self._hub.last_xid else LOOK_SECONDS


async def _newest(hub: Hub, place: Place) -> tuple[Place, bool]:
    """The end of all logs, and whether events behind `place` were pruned. ExecutionUnavailable."""
    [(newest, missed)] = await hub.read(_NEWEST, _values(place))
    return (newest, "", 0), missed


def _values(place: Place) -> tuple[str, str, int]:
    """As a query takes it: psycopg knows no xid8."""
    return str(place[0]), place[1], place[2]


def write_cursor(place: Place) -> str:
    """A place as clients see it: opaque, of URL-safe characters."""
    return base64.urlsafe_b64encode(msgspec.json.encode(place)).decode().rstrip("=")


def read_cursor(cursor: str) -> Place:
    """The inverse of `write_cursor`; BadParams when it is not one of ours."""
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        return _place(base64.b64decode(padded, altchars=b"-_", validate=True))
    except (binascii.Error, msgspec.MsgspecError, ValueError) as error:
        raise BadParams(f"last_id {cursor[:64]!r} is not a cursor of this stream; leave it out to start now") from error
