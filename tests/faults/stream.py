"""Clients of /api/stream that come back with their last id whenever the connection ends."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import aiohttp
import msgspec

from tests.faults.ledger import exact
from tests.faults.waiting import until

AWAY_SECONDS = 2.0  # a stream at most, in a rolling update: R11
RECONNECT_SECONDS = 0.02


class Event(msgspec.Struct, frozen=True):
    """One event as received; market events have no id."""

    id: str | None
    type: str
    data: dict[str, Any]


class Follower:
    """Follows one account's events from after `last_id`; `events` are those with an id, in the order they came.

    `url` may be asked for anew for every connection. `gaps` are the seconds from each connection's end to the next one's start.
    One that is `patient` waits first for as long as the last connection's `retry` said, as browsers do.
    """

    path = "/api/stream"

    def __init__(
        self, url: str | Callable[[], str], headers: dict[str, str], *, last_id: str = "0", patient: bool = False
    ) -> None:
        self._url = url if callable(url) else lambda: url
        self._headers = headers
        self.start = int(last_id or 0)
        self.last_id = last_id
        self.gaps: list[float] = []
        self._patient = patient
        self._ended = 0.0
        self.events: list[Event] = []
        self.connections = self.refusals = self.comments = self.markets = 0
        self.retry: int | None = None

    async def run(self) -> None:
        """Follow until cancelled."""
        timeout = aiohttp.ClientTimeout(total=None, sock_read=20)
        async with aiohttp.ClientSession(timeout=timeout, headers=self._headers) as session:
            while True:
                with contextlib.suppress(aiohttp.ClientError, TimeoutError):  # the gateway was killed: come back
                    try:
                        await self._follow(session)
                    finally:
                        self._ended = self._ended or time.monotonic()
                await asyncio.sleep(self.retry / 1000 if self._patient and self.retry else RECONNECT_SECONDS)

    async def _follow(self, session: aiohttp.ClientSession) -> None:
        headers = {"Last-Event-ID": self.last_id} if self.last_id else {}
        async with session.get(self._url() + self.path, headers=headers) as answer:
            if answer.status != 200:
                self.refusals += 1
                return
            self.connections += 1
            if self._ended:
                self.gaps.append(time.monotonic() - self._ended)
                self._ended = 0.0
            fields: dict[str, str] = {}
            async for raw in answer.content:
                line = raw.decode().rstrip("\r\n")
                if not line:
                    self._take(fields)
                    fields = {}
                elif line.startswith(":"):
                    self.comments += 1
                else:
                    name, _, value = line.partition(":")
                    fields[name] = value.removeprefix(" ")

    def _take(self, fields: dict[str, str]) -> None:
        if "retry" in fields:
            self.retry = int(fields["retry"])
        if "data" not in fields:
            return
        event = Event(fields.get("id"), fields.get("event", "message"), exact(fields["data"]))
        if event.id is None:
            self.markets += 1
            return
        self.events.append(event)
        self.last_id = event.id

    async def reached(self, seq: int, seconds: float = 10) -> None:
        """Wait until event `seq` was seen. Raises TimeoutError."""

        async def seen() -> bool:
            return int(self.last_id) >= seq

        await until(seen, seconds=seconds)


class AdminFollower(Follower):
    """Follows all accounts from now on; ids are opaque."""

    path = "/api/stream?account=*"

    def __init__(self, url: str | Callable[[], str], headers: dict[str, str]) -> None:
        super().__init__(url, headers, last_id="")

    async def connected(self, seconds: float = 20) -> None:
        """Wait until it follows. Raises TimeoutError."""

        async def heard() -> bool:
            return self.comments > 0

        await until(heard, seconds=seconds)

    def by_account(self) -> dict[str, list[Event]]:
        """What was seen of each account, in the order it came."""
        seen: dict[str, list[Event]] = defaultdict(list)
        for event in self.events:
            seen[event.data.get("account", "")].append(event)
        return seen

    async def saw(self, counts: dict[str, int], seconds: float = 10) -> None:
        """Wait until at least so many events of each account were seen. Raises TimeoutError."""

        async def seen() -> bool:
            found = self.by_account()
            return all(len(found.get(account, ())) >= count for account, count in counts.items())

        await until(seen, seconds=seconds, every=0.1)
