"""Which ports of a host accept a connection from here: the view from outside that no look from inside replaces."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable
from typing import Final

# A refusal comes at once; what a firewall drops says nothing, so waiting longer shows nothing more on a network that works.
_SECONDS: Final = 2.0
_AT_ONCE: Final = 200


def reached(places: Iterable[tuple[str, int]], seconds: float = _SECONDS) -> frozenset[tuple[str, int]]:
    """Those of the addresses and TCP ports that accept; each connection is closed at once."""
    return asyncio.run(_all(tuple(places), seconds))


async def _all(places: tuple[tuple[str, int], ...], seconds: float) -> frozenset[tuple[str, int]]:
    few = asyncio.Semaphore(_AT_ONCE)

    async def one(place: tuple[str, int]) -> bool:
        async with few:
            try:
                async with asyncio.timeout(seconds):
                    _, writer = await asyncio.open_connection(*place)
            except OSError:  # TimeoutError is one
                return False
            writer.close()
            return True

    said = await asyncio.gather(*map(one, places))
    return frozenset(place for place, accepted in zip(places, said, strict=True) if accepted)
