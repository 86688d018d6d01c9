"""One tenure after another: begins them, admits to them, tells what is wrong while there is none."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import msgspec
import psycopg

from app.engine import EngineLost
from app.errors import ExecutionUnavailable
from app.exchange_config import ExchangeConfig, StartRefused
from app.feeds import SymbolSpec
from app.fencing import Fenced, LeaseHeld
from app.limits import Limits
from app.metrics_core import CoreMetrics
from app.recovery import RecoveryMismatch
from app.tenure import Tenure, TenureLost
from app.wal_rows import Append

log = logging.getLogger(__name__)

# What may end a tenure, and the component whose fault it is.
_FAULTS: Final[dict[type[Exception], str]] = {
    EngineLost: "engine",
    StartRefused: "engine",
    Fenced: "leases",
    LeaseHeld: "leases",
    RecoveryMismatch: "recovery",
    psycopg.Error: "database",
    OSError: "database",
    TenureLost: "recovery",
}


class Component(msgspec.Struct, frozen=True):
    """One part's health; `detail` says in words what is wrong, or what it is doing."""

    ok: bool
    detail: str = ""


class Supervisor:
    """Keeps a tenure going. `prepare` is done with each before it is admitted to.

    `recovered` is told of the accounts' last committed events before anything is published after them.
    """

    def __init__(
        self,
        config: ExchangeConfig,
        symbols: Sequence[SymbolSpec],
        metrics: CoreMetrics,
        publish: Callable[[Sequence[Append], int], None],
        prepare: Callable[[Tenure], Awaitable[None]],
        recovered: Callable[[dict[str, int]], None],
    ) -> None:
        self.tenure: Tenure | None = None
        self.limits: dict[str, Limits] = {}
        self.killed = False
        self.broken = False  # by a defect of ours: only a new process helps
        self._config = config
        self._symbols = symbols
        self._metrics = metrics
        self._publish = publish
        self._prepare = prepare
        self._recovered = recovered
        self._fault = ("recovery", "has not begun")
        self._there = asyncio.Event()
        self._attempted = asyncio.Event()
        self._retry = asyncio.Event()
        self._leaving = asyncio.Event()
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Return after the first attempt, whether it succeeded or will be tried again. StartRefused."""
        self._task = asyncio.create_task(self._run())
        self._task.add_done_callback(self._ended)
        attempted = asyncio.create_task(self._attempted.wait())
        await asyncio.wait({self._task, attempted}, return_when=asyncio.FIRST_COMPLETED)
        attempted.cancel()
        if self._task.done():
            self._task.result()

    async def finish(self) -> None:
        """Let the tenure end in good order; return when it has."""
        self._leaving.set()
        self._retry.set()
        if self._task is not None:
            await asyncio.wait({self._task})

    async def stop(self) -> None:
        """End the tenure at once."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})

    def retry(self) -> None:
        """Begin the next attempt now."""
        self._retry.set()

    def current(self) -> Tenure:
        """The tenure there is; ExecutionUnavailable when there is none."""
        if self.tenure is None:
            name, detail = self._fault
            raise ExecutionUnavailable(f"orders cannot be taken now; {name}: {detail}")
        return self.tenure

    @property
    def led_elsewhere(self) -> bool:
        """Whether another gateway owns the accounts, as far as we know."""
        return self.tenure is None and self._fault[0] == "leases"

    async def next_tenure(self) -> Tenure:
        """The tenure there is, or the next one."""
        while self.tenure is None:
            await self._there.wait()
        return self.tenure

    def components(self) -> dict[str, Component]:
        """Health of engine, database, leases, recovery and clock."""
        if (tenure := self.tenure) is not None:
            seen = tenure.renewal
            ahead = seen.clock_offset
            return {
                "engine": Component(ok=True, detail=f"pid {tenure.engine_pid}"),
                "database": Component(ok=True, detail=f"answers in {seen.round_trip * 1000:.1f} ms"),
                "leases": Component(ok=True, detail=f"{tenure.shards} shards"),
                "recovery": Component(ok=True),
                "clock": Component(
                    ok=abs(ahead) <= self._config.max_clock_offset, detail=f"{ahead:+.3f} s against the database's"
                ),
            }
        found = {
            "engine": Component(ok=False, detail="not running"),
            "database": Component(ok=True),
            "leases": Component(ok=False, detail="not held"),
            "recovery": Component(ok=False, detail="not done"),
            "clock": Component(ok=True, detail="not known"),
        }
        name, detail = self._fault
        found[name] = Component(ok=False, detail=detail)
        return found

    async def _run(self) -> None:
        config = self._config
        delay = config.retry_least
        while not self._leaving.is_set():
            tenure = Tenure(config, self._metrics, self._publish, self._recovered)
            try:
                await tenure.begin(self._symbols)
                await tenure.unless_lost(self._prepare(tenure))
                delay = config.retry_least
                self._admit(tenure)
                await tenure.live(self._leaving)
                self._withdraw("recovery", "shut down")
                await tenure.finish()
            except tuple(_FAULTS) as error:
                self._failed(error)
                if isinstance(error, Fenced):
                    delay = config.retry_most  # not a duel with a process of the same name
                if isinstance(error, StartRefused) and not self._attempted.is_set():
                    raise
            finally:
                self._withdraw(*self._fault)
                await tenure.end()
            self._attempted.set()
            if not self._leaving.is_set():
                await self._pause(delay)
                delay = min(2 * delay, config.retry_most)

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self.broken = True
            self._fault = ("recovery", f"the supervisor ended: {error!r}")
            foreseen = isinstance(error, StartRefused)
            log.critical("the supervisor ended: %s", error, exc_info=None if foreseen else error)

    def _admit(self, tenure: Tenure) -> None:
        self.limits, self.killed = tenure.limits, tenure.killed
        self.tenure = tenure
        self._there.set()
        self._attempted.set()
        self._retry.clear()
        self._metrics.ready.set(1)
        log.info("orders are taken: %d accounts", len(tenure.limits))

    def _withdraw(self, name: str, detail: str) -> None:
        self._fault = (name, detail)
        self.tenure = None
        self._there.clear()
        self._metrics.ready.set(0)

    def _failed(self, error: Exception) -> None:
        name = next(name for kind, name in _FAULTS.items() if isinstance(error, kind))
        self._fault = (name, str(error) or type(error).__name__)
        if isinstance(error, RecoveryMismatch):
            self._metrics.recovery_mismatches.inc()
        log.error("orders are not taken; %s: %s", *self._fault)

    async def _pause(self, delay: float) -> None:
        try:
            await asyncio.wait_for(self._retry.wait(), delay)
        except TimeoutError:
            return
        self._retry.clear()
