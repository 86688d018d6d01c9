"""Waiting for a condition that only asking can tell."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable


async def until(condition: Callable[[], Awaitable[bool]], *, seconds: float, every: float = 0.02) -> None:
    """Return when the condition holds. Raises TimeoutError naming it after `seconds`."""
    try:
        async with asyncio.timeout(seconds):
            while not await condition():  # noqa: ASYNC110 - what is waited for happens in other processes
                await asyncio.sleep(every)
    except TimeoutError:
        raise TimeoutError(f"{getattr(condition, '__qualname__', condition)} did not hold within {seconds} s") from None
