"""Others' commits from the log itself: slower than a message, and always there."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Final

from app.errors import ExecutionUnavailable
from app.hub import EventHub
from app.ring import PAGE

LOOK_SECONDS: Final = 0.2
LEAST_SECONDS: Final = 0.02  # between two looks, however many gaps there are
MOST_ROWS: Final = 2000  # in one look

# The same in every gateway of a database, and another in every other.
_REALM = b"""SELECT system_identifier::text || '/' || (SELECT oid FROM pg_database WHERE datname = current_database())
FROM pg_control_system()"""
_HEADS = b"SELECT account, seq FROM accounts WHERE account = ANY(%s)"
_ROWS = b"""SELECT w.* FROM unnest(%s::text[], %s::bigint[], %s::bigint[]) AS f(account, after, upto)
CROSS JOIN LATERAL (SELECT o.account, o.seq, o.type, o.payload::text FROM order_wal o
    WHERE o.account = f.account AND o.seq > f.after AND o.seq <= f.upto ORDER BY o.seq LIMIT %s) w
ORDER BY w.account, w.seq"""
_NEWEST = b"SELECT xid::text::bigint FROM order_wal ORDER BY xid DESC LIMIT 1"


class LogWatch:
    """Looks after the followed accounts that this gateway does not own, once for all their readers."""

    def __init__(self, hub: EventHub, owns: Callable[[str], bool]) -> None:
        self.realm: str | None = None
        self._hub = hub
        self._owns = owns
        self._xid = 0

    def accounts(self) -> set[str]:
        """Whose events come from elsewhere."""
        return {account for account in self._hub.heads() if not self._owns(account)}

    async def run(self) -> None:
        """Look every LOOK_SECONDS, and when the hub asks for it, until cancelled; a database that is away is tried again."""
        loop = asyncio.get_running_loop()
        while True:
            begun = loop.time()
            self._hub.changed.clear()
            with suppress(ExecutionUnavailable):
                await self._look()
            await asyncio.sleep(max(0.0, begun + LEAST_SECONDS - loop.time()))
            with suppress(TimeoutError):
                async with asyncio.timeout_at(begun + LOOK_SECONDS):
                    await self._hub.changed.wait()

    async def _look(self) -> None:
        if accounts := self.accounts():
            await self._fill(dict(await self._hub.read(_HEADS, (sorted(accounts),))))
        if self._hub.global_followers:
            found = await self._hub.read(_NEWEST, ())
            if found and found[0][0] > self._xid:
                self._xid = found[0][0]
                self._hub.committed(self._xid)
        if self.realm is None:
            [(self.realm,)] = await self._hub.read(_REALM, ())

    async def _fill(self, heads: Mapping[str, int]) -> None:
        """Bring the rings to these heads: with the events, unless they are too many and each reader takes them from the log."""
        known, wanted, left = self._hub.heads(), {}, MOST_ROWS
        for account, head in heads.items():
            behind = head - known.get(account, head)
            if 0 < behind <= min(PAGE, left):
                wanted[account] = (known[account], head)
                left -= behind
        rows = []
        if wanted:
            after, upto = zip(*wanted.values(), strict=True)
            rows = await self._hub.read(_ROWS, (list(wanted), list(after), list(upto), PAGE))
        for account, seq, kind, payload in rows:
            self._hub.receive(account, seq, [(kind, payload.encode())])
        self._hub.noticed(heads)
