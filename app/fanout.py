"""Events between gateways: own commits to Redis, others' from Redis or, whatever Redis does, from the log."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from app.announcer import Announcer
from app.hub import EventHub, LogEntry
from app.listener import Listener
from app.log_watch import LogWatch
from app.metrics_core import CoreMetrics

_CONNECTIONS = 2  # one to publish, one to listen


class Fanout:
    """Brings the hub what it follows and this gateway does not `own`. Without a `url` all of it is read from the log.

    `heard`: whether anybody may listen, for what is told to nobody need not be told.
    """

    def __init__(
        self,
        hub: EventHub,
        metrics: CoreMetrics,
        *,
        url: str,
        timeout: float,
        retry: float,
        owns: Callable[[str], bool],
        heard: Callable[[], bool] = lambda: True,
    ) -> None:
        self._watch = LogWatch(hub, owns)
        self._heard = heard
        self._client: Redis | None = None
        self._announcer: Announcer | None = None
        if url:
            pool = BlockingConnectionPool.from_url(
                url,
                max_connections=_CONNECTIONS,
                timeout=timeout,
                socket_timeout=timeout,
                socket_connect_timeout=timeout,
                retry=Retry(NoBackoff(), 0),
            )
            self._client = Redis(connection_pool=pool)
            self._announcer = Announcer(self._client, timeout=timeout, retry=retry, metrics=metrics)
            self._listener = Listener(self._client, hub, timeout=timeout, retry=retry, metrics=metrics)

    def publish(self, entries: Sequence[LogEntry], xid: int) -> None:
        """Tell the other gateways what transaction `xid` made durable. Never waits, never fails."""
        if self._announcer is not None and entries and self._heard():
            self._announcer.announce(entries, xid)

    async def run(self) -> None:
        """Until cancelled."""
        try:
            async with asyncio.TaskGroup() as tasks:
                tasks.create_task(self._watch.run())
                if self._announcer is not None:
                    tasks.create_task(self._announcer.run(self._realm))
                    tasks.create_task(self._listener.run(self._realm, self._watch.accounts))
        finally:
            if self._client is not None:
                await self._client.aclose(close_connection_pool=True)

    def _realm(self) -> str | None:
        return self._watch.realm
