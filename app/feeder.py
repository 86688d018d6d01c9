"""From the market source to the engine, no faster than the log takes it."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable

from app.feeds import Feed
from app.tenure import Outcome, Tenure

log = logging.getLogger(__name__)


class Feeder:
    """Pumps a feed's commands into whatever tenure there is; while there is none the feed waits."""

    def __init__(self, feed: Feed, most_in_flight: int, tenure: Callable[[], Awaitable[Tenure]]) -> None:
        self.state = "has not begun"
        self.running = False
        self._feed = feed
        self._slots = asyncio.Semaphore(most_in_flight)
        self._tenure = tenure

    async def run(self) -> None:
        """Return at the feed's end. Raises what the feed raises."""
        self.state, self.running = "runs", True
        try:
            async for line in self._feed.commands():
                await self._slots.acquire()
                tenure = await self._tenure()
                tenure.request([f"{line} ts={time.time_ns()}"]).add_done_callback(self._settled)
            self.state = "came to its end"
        except (ValueError, OSError) as error:
            self.state = f"failed: {error}"
            log.exception("feed %s", self._feed.name)
        finally:
            self.running = False

    def _settled(self, done: asyncio.Future[Outcome]) -> None:
        self._slots.release()
        if not done.cancelled() and done.exception() is None and (error := done.result().batch.error()):
            log.warning("feed %s: %s, %s", self._feed.name, *error)
