"""What streams are made of: items, rings that hold the last of them once for all readers, and waking those who wait."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Iterable, Sequence
from typing import Final

import msgspec

RING_BYTES: Final = 1 << 20
PAGE: Final = 500
PAGE_BYTES: Final = 1 << 17  # of payload: what a page may hold for a reader that stops reading


class StreamItem(msgspec.Struct, frozen=True):
    """One event for a subscriber: `id` is what to resume after (None for market events), `payload` JSON text."""

    id: str | None
    type: str
    payload: bytes


class Ring:
    """The last items, numbered without gaps up to `head`, at most RING_BYTES of payload. The head never goes back.

    So whatever hands items in, twice, late, or not at all: what it holds is right, and what it lacks is read elsewhere.
    """

    def __init__(self, head: int = 0) -> None:
        self.head = head
        self._items: deque[StreamItem] = deque()
        self._bytes = 0

    @property
    def first(self) -> int:
        """The number of the oldest item held."""
        return self.head - len(self._items) + 1

    def add(self, item: StreamItem, number: int | None = None) -> None:
        """Hold item `number`, by default the next; one that was here is skipped, after a gap it is the only one held."""
        number = self.head + 1 if number is None else number
        if number <= self.head:
            return
        self.reach(number - 1)
        self.head = number
        self._items.append(item)
        self._bytes += len(item.payload)
        while self._bytes > RING_BYTES:
            self._bytes -= len(self._items.popleft().payload)

    def reach(self, head: int) -> bool:
        """Items up to `head` are known to be there; whether that is news."""
        if head <= self.head:
            return False
        self.head = head
        self._items.clear()
        self._bytes = 0
        return True

    def after(self, position: int) -> list[StreamItem] | None:
        """At most a page of what follows `position`; None when the ring does not reach back so far."""
        start = position + 1 - self.first
        if start < 0:
            return None
        return page(self._items[index] for index in range(start, min(start + PAGE, len(self._items))))


def page(items: Iterable[StreamItem]) -> list[StreamItem]:
    """The first ones, as many as a page may hold and at least one."""
    found: list[StreamItem] = []
    size = 0
    for item in items:
        size += len(item.payload)
        if found and size > PAGE_BYTES:
            break
        found.append(item)
    return found


class Signal:
    """Wakes all who wait for it, and those only."""

    def __init__(self) -> None:
        self._futures: set[asyncio.Future[None]] = set()

    def wake(self) -> None:
        for future in self._futures:
            if not future.done():
                future.set_result(None)
        self._futures.clear()

    @staticmethod
    async def wait_any(signals: Sequence[Signal], timeout: float) -> None:
        """Return when one of the signals wakes, or after `timeout` seconds."""
        future = asyncio.get_running_loop().create_future()
        for signal in signals:
            signal._futures.add(future)  # noqa: SLF001 - of its own class
        try:
            await asyncio.wait({future}, timeout=timeout)
        finally:
            for signal in signals:
                signal._futures.discard(future)  # noqa: SLF001
