"""How long a balancer still sends requests to a gateway that hangs."""

from __future__ import annotations

import asyncio
import time

import aiohttp

OUT_SECONDS = 3.0
EVERY_SECONDS = 0.04


async def ask_anew(url: str, hung: list[float]) -> None:
    """Reads by way of the balancer, each on a connection of its own; notes when those began that the hung gateway got."""
    started = time.monotonic()
    hung.append(0.0)
    timeout = aiohttp.ClientTimeout(total=10)
    async with aiohttp.ClientSession(
        connector=aiohttp.TCPConnector(force_close=True, limit=0), timeout=timeout
    ) as session:

        async def once(at: float) -> None:
            async with session.get(f"{url}/health/live") as answer:
                await answer.read()
            if time.monotonic() - started - at > 1.0:
                hung.append(at)

        async with asyncio.TaskGroup() as group:
            while True:
                group.create_task(once(time.monotonic() - started))
                await asyncio.sleep(EVERY_SECONDS)
