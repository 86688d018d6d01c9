"""Own commits to Redis: what is not sent at once is dropped, because everybody can read it in the log."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Sequence
from typing import Final

from redis.asyncio import Redis
from redis.exceptions import RedisError

from app.hub import LogEntry
from app.metrics_core import CoreMetrics
from app.notices import messages

MOST_WAITING: Final = 8192  # events
BATCH: Final = 2000  # events in one round trip
_LOG = logging.getLogger("veloz.fanout")


class Announcer:
    """`announce` never waits and never fails. `timeout` bounds a delivery, `retry` is the pause after one that failed."""

    def __init__(self, client: Redis, *, timeout: float, retry: float, metrics: CoreMetrics) -> None:
        self._client = client
        self._timeout = timeout
        self._retry = retry
        self._metrics = metrics
        self._waiting: list[LogEntry] = []
        self._xid = 0
        self._some = asyncio.Event()
        self._away_until = 0.0

    def announce(self, entries: Sequence[LogEntry], xid: int) -> None:
        """Take committed entries for delivery, or drop them: while Redis is away, and all that wait when they are too many."""
        if time.monotonic() < self._away_until:
            return
        if len(self._waiting) + len(entries) > MOST_WAITING:
            self._waiting.clear()  # nobody needs them when some are missing
            return
        self._waiting += entries
        self._xid = max(self._xid, xid)
        self._some.set()

    async def run(self, realm: Callable[[], str | None]) -> None:
        """Deliver until cancelled. `realm` is None as long as it is not known; nothing is delivered before."""
        while True:
            await self._some.wait()
            entries, self._waiting = self._waiting[:BATCH], self._waiting[BATCH:]
            if not self._waiting:
                self._some.clear()
            name = realm()
            if not entries or name is None:
                continue
            pipeline = self._client.pipeline(transaction=False)
            count = 0
            for channel, content in messages(name, entries, self._xid):
                pipeline.publish(channel, content)
                count += 1
            try:
                async with asyncio.timeout(2 * self._timeout):
                    await pipeline.execute()
            except (RedisError, OSError, TimeoutError) as error:
                _LOG.warning("events are not announced: the others read the log", extra={"why": repr(error)})
                self._away_until = time.monotonic() + self._retry
                self._waiting.clear()
            else:
                self._metrics.fanout_messages.labels("sent").inc(count)
