"""Redis, which may be away at any time: short time-outs, and after a failure it is left alone for a moment."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

from prometheus_client import Gauge
from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

T = TypeVar("T")

_LOG = logging.getLogger("veloz.redis")
_CONNECTIONS = 16


class CacheAway(Exception):
    """Redis is not configured, cannot be reached, or was not a moment ago."""


class Cache:
    """One process's use of Redis. `timeout` bounds connecting and each answer, `retry` is the pause after a failure."""

    def __init__(self, url: str, *, timeout: float, retry: float, up: Gauge) -> None:
        self._retry = retry
        self._timeout = timeout
        self._up = up
        self._away_until = 0.0
        self._was_up: bool | None = None
        self._looking: asyncio.Task[None] | None = None
        self.client: Redis | None = None
        if url:
            pool = BlockingConnectionPool.from_url(
                url,
                max_connections=_CONNECTIONS,
                timeout=timeout,
                socket_timeout=timeout,
                socket_connect_timeout=timeout,
                retry=Retry(NoBackoff(), 0),
            )
            self.client = Redis(connection_pool=pool)

    @property
    def notices_within(self) -> float:
        """Seconds, from when Redis is back to when a use finds it so, if it is tried all the time."""
        return self._retry + 2 * self._timeout

    async def run(self, use: Callable[[Redis], Awaitable[T]]) -> T:
        """The result of one use of the client. Raises CacheAway."""
        client = self.client
        if client is None:
            raise CacheAway("no Redis is configured (VELOZ_REDIS_URL)")
        if self._was_up is False:
            self._look_again()
            raise CacheAway("Redis did not answer a moment ago")
        return await self._tried(client, use)

    def _look_again(self) -> None:
        """Ask in the background whether Redis is back, so that no request waits for one that hangs."""
        looking = self._looking is not None and not self._looking.done()
        if not looking and self.client is not None and time.monotonic() >= self._away_until:
            self._looking = asyncio.create_task(self._look(self.client))

    async def _look(self, client: Redis) -> None:
        with suppress(CacheAway):
            await self._tried(client, _ping)

    async def _tried(self, client: Redis, use: Callable[[Redis], Awaitable[T]]) -> T:
        try:
            async with asyncio.timeout(2 * self._timeout):
                result = await use(client)
        except (RedisError, OSError, TimeoutError) as error:
            self._away_until = time.monotonic() + self._retry
            self._note(up=False, why=str(error))
            raise CacheAway(f"Redis does not answer: {error or type(error).__name__}") from error
        self._note(up=True, why="")
        return result

    async def ping(self) -> None:
        """Raises CacheAway."""
        await self.run(_ping)

    async def close(self) -> None:
        if self._looking is not None:
            self._looking.cancel()
            await asyncio.wait({self._looking})
        if self.client is not None:
            await self.client.aclose(close_connection_pool=True)

    def _note(self, *, up: bool, why: str) -> None:
        self._up.set(up)
        if up is not self._was_up:
            self._was_up = up
            _LOG.log(
                logging.INFO if up else logging.WARNING, "Redis is %s", "there" if up else "away", extra={"why": why}
            )


async def _ping(client: Redis) -> bool:
    return bool(await client.ping())
