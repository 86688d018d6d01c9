"""Other gateways' commits from Redis, as long as it is there."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Any, Final

import msgspec
from redis.asyncio import Redis
from redis.asyncio.client import PubSub
from redis.exceptions import RedisError

from app.hub import EventHub
from app.metrics_core import CoreMetrics
from app.notices import COMMITS, channel, decode_commit, decode_notice
from app.ring import PAGE

READ_SECONDS: Final = 0.1  # how long a change of what is followed may wait
PING_SECONDS: Final = 3.0  # a quiet connection is tried so often, and given up when no answer comes before the next
_LOG = logging.getLogger("veloz.fanout")


class Listener:
    """Hands the events of the channels that are wanted to the hub. `timeout` bounds a command, `retry` is between attempts."""

    def __init__(self, client: Redis, hub: EventHub, *, timeout: float, retry: float, metrics: CoreMetrics) -> None:
        self._client = client
        self._hub = hub
        self._timeout = timeout
        self._retry = retry
        self._metrics = metrics
        self._there = True

    async def run(self, realm: Callable[[], str | None], accounts: Callable[[], set[str]]) -> None:
        """Listen until cancelled: to these accounts' channels, and to all commits when somebody follows all accounts."""

        def wanted() -> set[str]:
            channels = {channel(account) for account in accounts()}
            return channels | {COMMITS} if self._hub.global_followers else channels

        while True:
            await asyncio.sleep(READ_SECONDS)
            if not wanted():
                continue
            async with self._client.pubsub() as pubsub:
                try:
                    await self._listen(pubsub, realm, wanted)
                except (RedisError, OSError, TimeoutError) as error:
                    self._note(there=False, why=repr(error))
                    await asyncio.sleep(self._retry)

    async def _listen(self, pubsub: PubSub, realm: Callable[[], str | None], wanted: Callable[[], set[str]]) -> None:
        """Return when nothing is wanted. RedisError, OSError, TimeoutError: the connection is of no more use."""
        loop = asyncio.get_running_loop()
        heard: set[str] = set()
        answered = asked = loop.time()
        while channels := wanted():
            async with asyncio.timeout(2 * self._timeout):
                if new := channels - heard:
                    await pubsub.subscribe(*new)
                if old := heard - channels:
                    await pubsub.unsubscribe(*old)
                if loop.time() - asked > PING_SECONDS:
                    if answered < asked:
                        raise TimeoutError("no answer to a ping")
                    asked = loop.time()
                    await pubsub.ping()
            heard = channels
            if await self._read(pubsub, realm):
                answered = loop.time()

    async def _read(self, pubsub: PubSub, realm: Callable[[], str | None]) -> int:
        """Take what comes for a moment; returns how much that was."""
        count, patience = 0, READ_SECONDS
        while count < PAGE and (message := await pubsub.get_message(timeout=patience)) is not None:
            count, patience = count + 1, 0.0
            if message["type"] == "message":
                self._take(message, realm())
        if count:
            self._note(there=True, why="")
        return count

    def _take(self, message: dict[str, Any], realm: str | None) -> None:
        """One message; what is not ours or no message of ours is counted and left alone."""
        direction = "received"
        try:
            if message["channel"] == COMMITS.encode():
                commit = decode_commit(message["data"])
                if commit.realm == realm:
                    self._hub.committed(commit.xid)
                else:
                    direction = "ignored"
            else:
                direction = self._events(message, realm)
        except msgspec.MsgspecError:
            direction = "ignored"
        self._metrics.fanout_messages.labels(direction).inc()

    def _events(self, message: dict[str, Any], realm: str | None) -> str:
        notice = decode_notice(message["data"])
        if notice.realm != realm or message["channel"] != channel(notice.account).encode() or notice.first < 1:
            return "ignored"
        if not self._hub.receive(notice.account, notice.first, notice.items):
            self._metrics.fanout_gaps.inc()
            self._hub.changed.set()
        return "received"

    def _note(self, *, there: bool, why: str) -> None:
        if there is not self._there:
            self._there = there
            level, what = (logging.INFO, "come by Redis again") if there else (logging.WARNING, "are read from the log")
            _LOG.log(level, "other gateways' events %s", what, extra={"why": why})
