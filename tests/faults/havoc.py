"""Faults of a cluster at seeded random moments. Each returns when what it broke was mended, not yet when all is well again."""

from __future__ import annotations

import asyncio
import os
import random
import signal
from collections import Counter
from collections.abc import Awaitable, Callable

from tests.faults.cluster import Cluster
from tests.faults.gateway import Gateway, NotReadyError
from tests.faults.killer import EngineKill, end_engine

IN_SERVICE = 0.8  # share of the kills that wait for the victim to trade again; the others may meet it while it starts
LEASE_SECONDS = 3.0

Fault = Callable[[], Awaitable[None]]


async def kill_gateways(cluster: Cluster, rng: random.Random, count: int) -> list[float]:
    """SIGKILL any gateway, `count` times, and start it again; returns the seconds from each awaited start until it was ready."""
    starts = []
    for _ in range(count):
        victim = rng.choice(cluster.gateways)
        if rng.random() < IN_SERVICE:
            starts.append(await victim.ready(30))
        await asyncio.sleep(rng.uniform(0.0, 0.5))
        victim.kill()
        victim.start()
    return starts


async def kill_engines(cluster: Cluster, rng: random.Random, count: int) -> list[EngineKill]:
    """SIGKILL any gateway's engine, `count` times, each time once all gateways take orders."""
    kills = []
    for _ in range(count):
        victim = rng.choice(cluster.gateways)
        await victim.ready(30)
        await asyncio.sleep(rng.uniform(0.0, 0.3))
        kills.append(await end_engine(victim))
    return kills


class Havoc:
    """Everything that can be broken in a cluster; `done` counts what was."""

    def __init__(self, cluster: Cluster, rng: random.Random) -> None:
        self.done: Counter[str] = Counter()
        self._cluster = cluster
        self._rng = rng
        self._faults: dict[Fault, int] = {
            self._kill_gateway: 4,
            self._stop_gateway_shortly: 3,
            self._stop_gateway_for_longer_than_its_lease: 2,
            self._kill_engine: 3,
            self._stop_engine: 1,
            self._kill_valkey: 2,
        }
        if cluster.peers:
            self._faults[self._cut_peers] = 2
        if cluster.to_valkey:
            self._faults[self._cut_valkey] = 1
        if cluster.to_database:
            self._faults[self._cut_database] = 2

    async def run(self, count: int) -> None:
        """Break `count` things, one after the other."""
        for _ in range(count):
            await asyncio.sleep(self._rng.uniform(0.0, 0.8))
            fault = self._rng.choices(list(self._faults), list(self._faults.values()))[0]
            self.done[getattr(fault, "__name__", "").strip("_")] += 1
            await fault()

    async def _kill_gateway(self) -> None:
        victim = self._rng.choice(self._cluster.gateways)
        victim.kill()
        await asyncio.sleep(self._rng.choice([0.0, self._rng.uniform(0.0, 2.0)]))
        victim.start()

    async def _stop_gateway_shortly(self) -> None:
        await stop_and_go(self._rng.choice(self._cluster.gateways), self._rng.uniform(0.1, 2.0))

    async def _stop_gateway_for_longer_than_its_lease(self) -> None:
        await stop_and_go(self._rng.choice(self._cluster.gateways), LEASE_SECONDS + self._rng.uniform(0.5, 2.0))

    async def _kill_engine(self) -> None:
        self._signal_engine(signal.SIGKILL)

    async def _stop_engine(self) -> None:
        self._signal_engine(signal.SIGSTOP)

    def _signal_engine(self, number: signal.Signals) -> None:
        victim = self._rng.choice(self._cluster.gateways)
        engine = victim.engine() if victim.alive else None
        if engine is not None:
            os.kill(engine, number)

    async def _kill_valkey(self) -> None:
        self._cluster.valkey.kill()
        await asyncio.sleep(self._rng.uniform(0.0, 2.0))
        await asyncio.to_thread(self._cluster.valkey.start)

    async def _cut_peers(self) -> None:
        proxy = self._rng.choice(self._cluster.peers)
        mode = self._rng.choice(["cut", "refuse", "black hole"])
        proxy.set(mode)  # type: ignore[arg-type] # one of the modes
        await asyncio.sleep(self._rng.uniform(0.0, 2.0))
        proxy.set("pass")

    async def _cut_valkey(self) -> None:
        if self._cluster.to_valkey is not None:
            self._cluster.to_valkey.set("black hole")
            await asyncio.sleep(self._rng.uniform(0.0, 2.0))
            self._cluster.to_valkey.set("pass")

    async def _cut_database(self) -> None:
        if self._cluster.to_database is not None:
            mode = self._rng.choice(["cut", "refuse", "black hole"])
            self._cluster.to_database.set(mode)  # type: ignore[arg-type] # one of the modes
            await asyncio.sleep(self._rng.uniform(0.0, 5.0))
            self._cluster.to_database.set("pass")


async def stop_and_go(gateway: Gateway, seconds: float) -> None:
    """SIGSTOP, and SIGCONT after a while."""
    if not gateway.alive:
        raise NotReadyError(f"{gateway.owner} does not run\n{gateway.last_words()}")
    gateway.kill(signal.SIGSTOP)
    try:
        await asyncio.sleep(seconds)
    finally:
        gateway.kill(signal.SIGCONT)
