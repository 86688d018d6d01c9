"""One tenure after another: begins them, has shards carried in, tells what is wrong while there is none."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Collection, Coroutine, Sequence
from typing import Any, Final

import msgspec
import psycopg

from app.directory import Directory
from app.engine import EngineLost
from app.errors import ExecutionUnavailable
from app.exchange_config import ExchangeConfig, StartRefused
from app.feeds import SymbolSpec
from app.fencing import Fenced, LeaseHeld
from app.membership import Membership
from app.metrics_core import CoreMetrics
from app.recovery import Proven, RecoveryMismatch
from app.ring import Signal
from app.steward import Steward
from app.tenure import Place, Tenure, TenureLost
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


class Hooks(msgspec.Struct, frozen=True):
    """What the supervisor calls."""

    publish: Callable[[Sequence[Append], int], None]
    renewed: Callable[[], Awaitable[None]]
    taken: Callable[[Proven], None]
    given: Callable[[Collection[str]], None]


class Component(msgspec.Struct, frozen=True):
    """One part's health; `detail` says in words what is wrong, or what it is doing."""

    ok: bool
    detail: str = ""


class Supervisor:
    """Keeps a tenure going, with a steward beside it. `moved` is woken whenever an account came or went.

    `renewed` is called for each new tenure before any account is in it; for `taken` and `given` see app/steward.py.
    """

    def __init__(
        self,
        config: ExchangeConfig,
        symbols: Sequence[SymbolSpec],
        metrics: CoreMetrics,
        directory: Directory,
        hooks: Hooks,
    ) -> None:
        self.tenure: Tenure | None = None
        self.steward: Steward | None = None
        self.moved = Signal()
        self.broken = False  # by a defect of ours: only a new process helps
        self._config = config
        self._symbols = symbols
        self._metrics = metrics
        self._directory = directory
        self._hooks = hooks
        self._fault = ("recovery", "has not begun")
        self._there = asyncio.Event()
        self._attempted = asyncio.Event()
        self._retry = asyncio.Event()
        self._leaving = asyncio.Event()
        self.membership = Membership(config, self._able, self._retry.set)
        self._ended_at = float("-inf")
        self._task: asyncio.Task[None] | None = None
        self._joining: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Return after the first attempt, whether it succeeded or will be tried again. StartRefused."""
        self._joining = asyncio.create_task(self.membership.run())
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
        """End the tenure at once, and the membership."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait({self._task})
        await self.membership.leave()
        if self._joining is not None:
            self.membership.cut()
            self._joining.cancel()
            await asyncio.wait({self._joining})

    def retry(self) -> None:
        """Begin the next attempt now."""
        self._retry.set()
        if self.steward is not None:
            self.steward.retry()

    @property
    def settled(self) -> bool:
        """Whether a tenure has what was its to claim at first, and every account of it."""
        return self.tenure is not None and self.tenure.settled and not self.tenure.faults

    def _able(self) -> bool:
        """Whether accounts may be ours: an engine runs, or did a moment ago."""
        return self.tenure is not None or time.monotonic() - self._ended_at < self._config.lease_ttl

    def current(self) -> Tenure:
        """The tenure there is; ExecutionUnavailable when there is none."""
        if self.tenure is None:
            name, detail = self._fault
            raise ExecutionUnavailable(f"orders cannot be taken now; {name}: {detail}")
        return self.tenure

    async def next_tenure(self) -> Tenure:
        """The tenure there is, or the next one."""
        while self.tenure is None:
            await self._there.wait()
        return self.tenure

    def components(self) -> dict[str, Component]:
        """Health of engine, database, leases, recovery and clock."""
        tenure, seen = self.tenure, self.membership.renewal
        if tenure is not None and seen is not None:
            ahead, left = seen.clock_offset, self.membership.seconds_left
            owned = f"{len(tenure.epochs)} shards, epochs to {max(tenure.epochs.values(), default=0)}"
            account, fault = next(iter(tenure.faults.items()), ("", ""))
            coming = sum(place is Place.COMING for place in tenure.places.values())
            return {
                "engine": Component(ok=True, detail=f"pid {tenure.engine_pid}"),
                "database": Component(ok=True, detail=f"answers in {seen.round_trip * 1000:.1f} ms"),
                "leases": Component(ok=left > 0, detail=f"{owned}; the lease has {left:.1f} s left"),
                "recovery": Component(
                    ok=tenure.settled and not tenure.faults,
                    detail=f"account {account}: {fault}" if fault else f"{coming} shards to come" if coming else "",
                ),
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
            tenure = Tenure(config, self._metrics, self._hooks.publish, self.membership.owner)
            try:
                await self.membership.joined(config.lease_ttl)
                tenure.guard(self.membership.until_lost())
                steward = await self._begin(tenure)
                delay = config.retry_least
                await tenure.live(self._leaving)
                await tenure.unless_lost(steward.leave())
                self._withdraw("recovery", "shut down")
            except tuple(_FAULTS) as error:
                self._failed(error)
                if isinstance(error, Fenced):
                    delay = config.retry_most if self._named_twice() else config.retry_least
                if isinstance(error, StartRefused) and not self._attempted.is_set():
                    raise
            finally:
                self._withdraw(*self._fault)
                await _to_the_end(tenure.end())
            self._attempted.set()
            if not self._leaving.is_set():
                await self._pause(delay)
                delay = min(2 * delay, config.retry_most)

    def _named_twice(self) -> bool:
        """Whether another process has our name: not a duel with it."""
        return isinstance(self.membership.fault, Fenced)

    async def _begin(self, tenure: Tenure) -> Steward:
        """Engine, log and steward; then what is ours to claim."""
        await tenure.begin(self._symbols)
        await tenure.unless_lost(self._hooks.renewed())
        hooks = self._hooks
        steward = Steward(tenure, self._directory, self._metrics, hooks.taken, hooks.given, self.moved)
        await tenure.unless_lost(steward.open())
        self._admit(tenure, steward)
        await tenure.unless_lost(self._settle(tenure, steward))
        tenure.guard(steward.run())
        self._attempted.set()
        self._retry.clear()
        self._metrics.ready.set(1)
        log.info("orders are taken: %d accounts", len(tenure.limits))
        return steward

    async def _settle(self, tenure: Tenure, steward: Steward) -> None:
        await self.membership.renew()  # able now, and the others see it
        while not tenure.settled:
            await self._directory.looked(self._config.lease_interval)
            await steward.step()

    def _ended(self, task: asyncio.Task[None]) -> None:
        if not task.cancelled() and (error := task.exception()) is not None:
            self.broken = True
            self._fault = ("recovery", f"the supervisor ended: {error!r}")
            foreseen = isinstance(error, StartRefused)
            log.critical("the supervisor ended: %s", error, exc_info=None if foreseen else error)

    def _admit(self, tenure: Tenure, steward: Steward) -> None:
        self.tenure, self.steward = tenure, steward
        self._there.set()

    def _withdraw(self, name: str, detail: str) -> None:
        self._fault = (name, detail)
        if self.tenure is not None:
            self._ended_at = time.monotonic()
        self.tenure = self.steward = None
        self._there.clear()
        self._metrics.ready.set(0)
        self.moved.wake()

    def _failed(self, error: Exception) -> None:
        name = next(name for kind, name in _FAULTS.items() if isinstance(error, kind))
        self._fault = (name, str(error) or type(error).__name__)
        log.error("orders are not taken; %s: %s", *self._fault)

    async def _pause(self, delay: float) -> None:
        try:
            async with asyncio.timeout(delay):
                await self._retry.wait()
        except TimeoutError:
            return
        self._retry.clear()


async def _to_the_end(work: Coroutine[Any, Any, None]) -> None:
    """Do the work whole, also when this is cancelled meanwhile: a half-ended tenure would keep its engine and sessions."""
    task = asyncio.ensure_future(work)
    try:
        await asyncio.shield(task)
    except asyncio.CancelledError:
        await asyncio.wait({task})
        raise
