"""A client of /api/stream that comes back with its last id whenever the connection ends."""

from __future__ import annotations

import asyncio
import contextlib
from typing import Any

import aiohttp
import msgspec

from tests.faults.ledger import exact
from tests.faults.waiting import until

RECONNECT_SECONDS = 0.02


class Event(msgspec.Struct, frozen=True):
    """One event as received; market events have no id."""

    id: str | None
    type: str
    data: dict[str, Any]


class Follower:
    """Follows one account's events from after `last_id`; `events` are those with an id, in the order they came."""

    def __init__(self, url: str, headers: dict[str, str], *, last_id: str = "0") -> None:
        self._url = url
        self._headers = headers
        self.start = int(last_id)
        self.last_id = last_id
        self.events: list[Event] = []
        self.connections = self.refusals = self.comments = self.markets = 0
        self.retry: int | None = None

    async def run(self) -> None:
        """Follow until cancelled."""
        timeout = aiohttp.ClientTimeout(total=None, sock_read=20)
        async with aiohttp.ClientSession(timeout=timeout, headers=self._headers) as session:
            while True:
                with contextlib.suppress(aiohttp.ClientError, TimeoutError):  # the gateway was killed: come back
                    await self._follow(session)
                await asyncio.sleep(RECONNECT_SECONDS)

    async def _follow(self, session: aiohttp.ClientSession) -> None:
        headers = {"Last-Event-ID": self.last_id}
        async with session.get(f"{self._url}/api/stream", headers=headers) as answer:
            if answer.status != 200:
                self.refusals += 1
                return
            self.connections += 1
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
