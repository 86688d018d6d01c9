"""Whether this process is starting, serving or leaving, and how late its event loop is."""

from __future__ import annotations

import asyncio
import time

from prometheus_client import Gauge

_PROBE = 0.25
_MEMORY = 10.0


class Lifecycle:
    """`exchange_started`, `started` and `draining` are set once each, in this order."""

    def __init__(self) -> None:
        self._begin = time.monotonic()
        self.reachable = asyncio.Event()  # commands reach the other gateways
        self.listening = asyncio.Event()
        self.exchange_started = False
        self.started = False
        self.draining = False
        self._lags: list[tuple[float, float]] = []

    @property
    def uptime(self) -> float:
        """Seconds."""
        return time.monotonic() - self._begin

    @property
    def lag(self) -> float:
        """Seconds the event loop was late at most in the last ten."""
        since = time.monotonic() - _MEMORY
        return max((lag for at, lag in self._lags if at >= since), default=0.0)

    async def watch(self, gauge: Gauge) -> None:
        """Measure the event loop for ever."""
        while True:
            before = time.monotonic()
            await asyncio.sleep(_PROBE)
            now = time.monotonic()
            lag = max(0.0, now - before - _PROBE)
            gauge.set(lag)
            self._lags = [entry for entry in self._lags if entry[0] >= now - _MEMORY]
            self._lags.append((now, lag))
