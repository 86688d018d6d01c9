"""The open event streams of this gateway: how many a key has, and how they are told to end."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import Gauge

from app.errors import RateLimitExceeded


class Streams:
    """At most so many a key. `end` ends them all: their `asyncio.timeout` scopes expire."""

    def __init__(self, gauge: Gauge) -> None:
        self._gauge = gauge
        self._by_key: Counter[str] = Counter()
        self._scopes: set[asyncio.Timeout] = set()
        self._ended = False

    @contextmanager
    def counted(self, key_id: str | None, most: int) -> Iterator[None]:
        """One stream's life. Raises RateLimitExceeded when the key has `most` open already."""
        name = key_id or ""
        if self._by_key[name] >= most:
            raise RateLimitExceeded(f"the key has {most} streams open already; close one first", retry_after=1.0)
        self._by_key[name] += 1
        self._gauge.inc()
        try:
            yield
        finally:
            self._gauge.dec()
            self._by_key[name] -= 1
            if not self._by_key[name]:
                del self._by_key[name]

    @contextmanager
    def ending(self, scope: asyncio.Timeout) -> Iterator[None]:
        """While inside, `end` makes the scope expire."""
        self._scopes.add(scope)
        try:
            if self._ended:
                scope.reschedule(asyncio.get_running_loop().time())
            yield
        finally:
            self._scopes.discard(scope)

    def end(self) -> None:
        self._ended = True
        now = asyncio.get_running_loop().time()
        for scope in self._scopes:
            scope.reschedule(now)

    def __len__(self) -> int:
        return len(self._scopes)
