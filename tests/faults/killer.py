"""Kills at seeded random moments, and how long it took to come back."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time

import msgspec

from tests.faults.gateway import POLL_SECONDS, Gateway, NotReadyError

IN_SERVICE = 0.8  # share of the gateway's kills that wait for it to trade again; the others may meet it while it starts
PAUSED = 0.05  # share of the gateway's lives in which it hangs for a while before it is killed
STOPPED = 0.06  # share of the engine's signals that are SIGSTOP: alive, but silent


class EngineKill(msgspec.Struct, frozen=True):
    """One engine's end: seconds until another process was there, and until orders were taken again."""

    signal: signal.Signals
    respawned: float
    ready: float


async def kill_gateway(gateway: Gateway, rng: random.Random, count: int) -> list[float]:
    """SIGKILL the gateway `count` times; returns the seconds from each awaited start until it was ready."""
    starts = []
    for _ in range(count):
        if rng.random() < IN_SERVICE:
            starts.append(await gateway.ready())
            await asyncio.sleep(rng.uniform(0.0, 0.3))
        else:
            await asyncio.sleep(rng.uniform(0.0, 1.0))
        if rng.random() < PAUSED:
            await pause(gateway, rng.uniform(0.1, 1.5))
        gateway.kill()
        gateway.start()
    starts.append(await gateway.ready())
    return starts


async def pause(gateway: Gateway, seconds: float) -> None:
    """SIGSTOP, and SIGCONT after a while."""
    gateway.kill(signal.SIGSTOP)
    await asyncio.sleep(seconds)
    gateway.kill(signal.SIGCONT)


async def kill_engines(gateway: Gateway, rng: random.Random, count: int) -> list[EngineKill]:
    """SIGKILL, at times SIGSTOP, the engine `count` times, each time once the gateway takes orders again."""
    kills = []
    await gateway.ready()
    for _ in range(count):
        await asyncio.sleep(rng.uniform(0.0, 0.3))
        number = signal.SIGSTOP if rng.random() < STOPPED else signal.SIGKILL
        kills.append(await end_engine(gateway, number))
    return kills


async def end_engine(gateway: Gateway, number: signal.Signals = signal.SIGKILL, seconds: float = 15) -> EngineKill:
    """End the engine that runs now and wait for the next. Raises NotReadyError when none is ready in time."""
    old = gateway.engine()
    if old is None:
        raise NotReadyError("there is no engine to kill")
    started = time.monotonic()
    os.kill(old, number)
    while gateway.engine() in {None, old}:
        if time.monotonic() - started > seconds:
            raise NotReadyError(f"no new engine {seconds} s after {number.name}\n{gateway.last_words()}")
        await asyncio.sleep(POLL_SECONDS)
    respawned = time.monotonic() - started
    await gateway.ready(seconds)
    return EngineKill(number, respawned, time.monotonic() - started)
