"""One engine's life, with the log that its events go into and the shards whose accounts are in it.

Whatever fails, all of it ends, and the next tenure begins by recovering. So start, crash recovery and taking over a shard are
the same code.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Coroutine, Iterable, Iterator, Sequence
from contextlib import AsyncExitStack, contextmanager
from enum import Enum
from typing import Any, Final, TypeVar

import msgspec
import psycopg
from psycopg.pq import TransactionStatus

from app.database import Connection, connect, cut, cut_after
from app.engine import Batch, Engine, EngineLost
from app.exchange_config import ExchangeConfig
from app.feeds import SymbolSpec
from app.fencing import shard_of
from app.hub import LogEntry
from app.limits import Limits
from app.metrics_core import CoreMetrics
from app.recovery import run_checkpoints
from app.ring import Signal
from app.symbols import store_symbols
from app.tables import read_killed, read_symbols
from app.wal import OrderLog
from app.wal_rows import Append, FirstAnswer, Opening
from app.wire import DURABLE, kill_line, symbol_line

log = logging.getLogger(__name__)

T = TypeVar("T")

CHECKPOINT_PAUSE: Final = 1.0
CHECKPOINT_LEAST: Final = 1000  # events of one account that are always worth a checkpoint while it runs
CLOCK_BACK_NS: Final = 10**9  # the window of the order rate: a step back that is shorter passes by itself


class Outcome(msgspec.Struct, frozen=True):
    """What a request led to, committed."""

    batch: Batch
    entries: list[LogEntry]
    first: FirstAnswer | None = None


class TenureLost(Exception):
    """The tenure ended; what was in it may or may not have happened."""


class NotHere(Exception):
    """The account is not in service in this engine: nothing was done."""


class Place(Enum):
    """Where a shard is, seen from this engine."""

    ELSEWHERE = "not here"
    COMING = "being recovered"
    HERE = "in service"
    GOING = "being handed over"


class Tenure:
    """`begin`, then shards come and go (app/steward.py) and requests are made while `live` runs, then `end`."""

    log: OrderLog

    def __init__(
        self,
        config: ExchangeConfig,
        metrics: CoreMetrics,
        publish: Callable[[Sequence[Append], int], None],
        owner: str,
    ) -> None:
        self.config = config
        self.epochs: dict[int, int] = {}  # the shards that are ours
        self.places: dict[int, Place] = {}
        self.limits: dict[str, Limits] = {}  # the accounts in the engine
        self.faults: dict[str, str] = {}  # accounts that were not taken up, and what differs
        self.killed = False
        self.settled = False  # whether everything that was ours to claim at first is here
        self._owner = owner
        self._metrics = metrics
        self._publish = publish
        self._stack = AsyncExitStack()
        self._guards: dict[asyncio.Task[Any], Connection | None] = {}
        self._waiting: set[asyncio.Future[Outcome]] = set()
        self._busy: Counter[int] = Counter()
        self._quiet = Signal()
        self.ended = False

    async def begin(self, symbols: Iterable[SymbolSpec]) -> None:
        """Start the engine and the log, without any account. StartRefused, EngineLost, psycopg.Error."""
        config = self.config
        committer = await self.connect("committer", config.commit_timeout)
        self.engine = await Engine.start(config.engine_path, config.heartbeat_timeout, config.engine_cpus)
        self._stack.push_async_callback(self.engine.stop)
        self._metrics.engine_starts.inc()
        self.guard(self._watch_engine())
        self.log = OrderLog(committer, self._owner, self.epochs, self._publish, self._metrics, config.commit_timeout)
        await self.unless_lost(self._define(list(symbols)))
        self.guard(self.log.run(), committer)
        self.guard(self._keep_checkpoints())

    async def _define(self, symbols: list[SymbolSpec]) -> None:
        config = self.config
        reader = await self.connect("recovery", config.recovery_timeout)
        with cut_after(reader, config.recovery_timeout):
            await store_symbols(reader, symbols)
            defined = await read_symbols(reader)
            self.killed = await read_killed(reader)
        await reader.close()
        lines = [f"{symbol_line(spec)} ts=0" for spec in defined.values()]
        await self.engine.ask([*lines, f"{kill_line(on=self.killed)} ts=0"], config.recovery_timeout)

    async def live(self, leaving: asyncio.Event) -> None:
        """Return when `leaving` is set; until then raise what ended the tenure."""
        left = asyncio.create_task(leaving.wait())
        try:
            done, _ = await asyncio.wait({left, *self._guards}, return_when=asyncio.FIRST_COMPLETED)
            for guard in done - {left}:
                guard.result()
        finally:
            left.cancel()

    @property
    def engine_pid(self) -> int:
        return self.engine.pid

    def place(self, account: str) -> Place:
        """Where the account is."""
        return self.places.get(shard_of(account), Place.ELSEWHERE)

    @contextmanager
    def using(self, account: str) -> Iterator[None]:
        """While inside, the account's shard is not handed over. NotHere when it is not in service."""
        shard = shard_of(account)
        if self.ended or self.places.get(shard) is not Place.HERE:
            raise NotHere(account)
        self._busy[shard] += 1
        try:
            yield
        finally:
            self._busy[shard] -= 1
            if not self._busy[shard]:
                del self._busy[shard]
                self._quiet.wake()

    async def quiet(self, shards: Collection[int]) -> None:
        """Return when no command uses the shards."""
        while any(shard in self._busy for shard in shards):
            await Signal.wait_any([self._quiet], 1.0)

    def held(self, account: str) -> tuple[str, list[int], list[int]]:
        """What a fence checks for a change of this account: owner, shards, epochs. KeyError when it is not ours."""
        shard = shard_of(account)
        return self._owner, [shard], [self.epochs[shard]]

    def abandon(self, reason: str) -> None:
        """End the tenure, because engine and tables may differ."""
        self.engine.fail(reason)

    async def end(self) -> None:
        """End all of it; what still waits gets TenureLost."""
        self.ended = True
        for future in self._waiting:
            if not future.done():
                future.set_exception(TenureLost)
        await self._end_guards()
        await self._stack.aclose()

    async def _end_guards(self) -> None:
        """Queries in progress end by cutting their connection: cancelling one would ask the server, and await it."""
        for connection in self._guards.values():
            if connection is not None:
                cut(connection)
        while pending := {task for task in self._guards if not task.done()}:
            for task in pending:
                connection = self._guards[task]
                if connection is None or connection.info.transaction_status != TransactionStatus.ACTIVE:
                    task.cancel()
            await asyncio.wait(pending, timeout=0.05)
        await asyncio.gather(*self._guards, return_exceptions=True)

    def request(
        self,
        lines: Sequence[str],
        *,
        first: Callable[[list[LogEntry]], FirstAnswer | None] | None = None,
        opening: Opening | None = None,
    ) -> asyncio.Future[Outcome]:
        """Hand lines to the engine as one request; the future is done when what they led to is committed.

        `first` may make a new order's first answer. The future raises TenureLost when the tenure ends before.
        """
        future: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        if self.ended:
            future.set_exception(TenureLost)
            return future
        self._waiting.add(future)
        future.add_done_callback(self._waiting.discard)

        def decided(batch: Batch) -> None:
            def settle(append: Append) -> None:
                if not future.done():
                    future.set_result(Outcome(batch, append.entries, append.first))

            if opening is not None and (error := batch.error()):
                raise ValueError(f"account {opening.account} cannot be opened: {error[1]}")
            self.log.append(batch.events, settle, first=first, opening=opening)

        self.engine.send(lines, decided)
        return future

    async def unless_lost(self, work: Awaitable[T]) -> T:
        """Await the work; when the tenure ends first, raise why."""
        task = asyncio.ensure_future(work)
        try:
            done, _ = await asyncio.wait({task, *self._guards}, return_when=asyncio.FIRST_COMPLETED)
            for guard in done - {task}:
                guard.result()
            return await task
        finally:
            task.cancel()

    def guard(self, work: Coroutine[Any, Any, Any], connection: Connection | None = None) -> asyncio.Task[Any]:
        """Do the work for as long as the tenure lasts; when it ends, that ends."""
        task = asyncio.create_task(work)
        self._guards[task] = connection
        return task

    async def connect(self, name: str, statement_timeout: float) -> Connection:
        """A connection that ends with the tenure."""
        dsn, title = self.config.postgres_dsn, self.config.session(name)
        connection = await connect(dsn, statement_timeout=statement_timeout, name=title)
        self._stack.push_async_callback(connection.close)
        self._stack.callback(cut, connection)  # first: whatever waits on it ends
        return connection

    async def _keep_checkpoints(self) -> None:
        """Now and then prove the log and leave a checkpoint, so that a recovery has little to fold.

        In a thread, because a fold takes long. RecoveryMismatch when log and tables do not agree.
        """
        config, done = self.config, 0
        while True:
            await asyncio.sleep(CHECKPOINT_PAUSE)
            if (now := self.log.appended) - done > config.checkpoint_events:
                here = [shard for shard, place in self.places.items() if place is Place.HERE]
                least, faults = self._checkpoint_least(), frozenset(self.faults)
                try:
                    await asyncio.to_thread(
                        run_checkpoints, config.postgres_dsn, config.checkpoint_timeout, here, least, faults
                    )
                except psycopg.Error as error:
                    log.warning("no checkpoint was written: %s", error)
                    continue
                done = now

    def _checkpoint_least(self) -> int:
        """So few that all accounts together have no more to fold than one may have alone."""
        share = self.config.checkpoint_events // max(1, len(self.log.heads))
        return max(1, min(CHECKPOINT_LEAST, share))

    async def _watch_engine(self) -> None:
        """The heartbeat is also what lets orders expire."""
        newest = 0

        def line() -> str:
            nonlocal newest
            now = time.time_ns()
            if (back := newest - now) > CLOCK_BACK_NS:
                self.abandon(
                    f"the clock went back {back / 1e9:.1f} s, its own does not: rates and expiries would be wrong"
                )
            newest = max(newest, now)
            return f"CLOCK {now}"

        def decided(batch: Batch) -> None:
            if any(event.type in DURABLE for event in batch.events):
                self.log.append(batch.events, lambda _append: None)

        config = self.config
        raise EngineLost(await self.engine.watch(line, decided, config.heartbeat_interval, config.heartbeat_timeout))
