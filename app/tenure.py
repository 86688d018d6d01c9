"""One claim's life: the engine, the log and the lease of one epoch, from the claim to their loss.

Whatever fails, all of it ends, and the next tenure begins by recovering. So start and crash recovery are the same code.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterable, Sequence
from contextlib import AsyncExitStack
from typing import Any, Final, TypeVar

import msgspec
import psycopg
from psycopg.pq import TransactionStatus

from app.database import Connection, confirmed, connect, cut, cut_after
from app.engine import Batch, Engine, EngineLost
from app.exchange_config import ExchangeConfig
from app.feeds import SymbolSpec
from app.fencing import Renewal, claim, release, renew
from app.hub import LogEntry
from app.limits import Limits
from app.metrics_core import CoreMetrics
from app.recovery import recover, run_checkpoints, write_checkpoints
from app.symbols import store_symbols
from app.wal import OrderLog
from app.wal_rows import Append, FirstAnswer, Opening
from app.wire import DURABLE

log = logging.getLogger(__name__)

T = TypeVar("T")

CHECKPOINT_PAUSE: Final = 1.0
CHECKPOINT_LEAST: Final = 1000  # events of one account that are always worth a checkpoint while it runs
CLOCK_BACK_NS: Final = 10**9  # the window of the order rate: a step back that is shorter passes by itself
CLAIM_PATIENCE: Final = 5.0  # seconds: longer than the transaction of a lost connection can hold its shards


class Outcome(msgspec.Struct, frozen=True):
    """What a request led to, committed."""

    batch: Batch
    entries: list[LogEntry]
    first: FirstAnswer | None = None


class TenureLost(Exception):
    """The tenure ended; what was in it may or may not have happened."""


class Tenure:
    """`begin`, then requests while `live` runs, then `end`. `recovered` is told where each account's log ends."""

    log: OrderLog
    limits: dict[str, Limits]
    killed: bool
    renewal: Renewal

    def __init__(
        self,
        config: ExchangeConfig,
        metrics: CoreMetrics,
        publish: Callable[[Sequence[Append], int], None],
        recovered: Callable[[dict[str, int]], None],
    ) -> None:
        self._config = config
        self._metrics = metrics
        self._publish = publish
        self._tell_recovered = recovered
        self._stack = AsyncExitStack()
        self._guards: dict[asyncio.Task[Any], Connection | None] = {}
        self._waiting: set[asyncio.Future[Outcome]] = set()
        self._recovered = self._ended = False

    async def begin(self, symbols: Iterable[SymbolSpec]) -> None:
        """Claim, start the engine, recover. StartRefused, LeaseHeld, RecoveryMismatch, EngineLost, psycopg.Error."""
        config, start = self._config, time.monotonic()
        self._keeper = await self._connect("keeper", CLAIM_PATIENCE)
        with cut_after(self._keeper, CLAIM_PATIENCE), confirmed(self._keeper):
            self._claim = await claim(self._keeper, config.owner, config.lease_ttl)
            self.renewal = await renew(self._keeper, self._claim, config.lease_ttl)
        self._committer = await self._connect("committer", config.commit_timeout)
        self._engine = await Engine.start(config.engine_path, config.heartbeat_timeout)
        self._stack.push_async_callback(self._engine.stop)
        self._metrics.engine_starts.inc()
        self._guard(self._keep_lease(), self._keeper)
        self._heart = self._guard(self._watch_engine())
        await self.unless_lost(self._recover(list(symbols)))
        self._recovered = True
        # Before the first commit: what it publishes goes behind these, and what is queued already is not committed.
        self._tell_recovered({account: head.seq for account, head in self.log.heads.items()})
        self._commits = self._guard(self.log.run(), self._committer)
        self._guard(self._keep_checkpoints())
        self._metrics.recovery_seconds.observe(time.monotonic() - start)

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
        return self._engine.pid

    @property
    def shards(self) -> int:
        return len(self._claim.epochs)

    def held(self, account: str | None) -> tuple[str, list[int], list[int]]:
        """What a fence checks for a change of this account, or with None of all: owner, shards, epochs."""
        shards = sorted(self._claim.epochs) if account is None else [self.log.heads[account].shard]
        return self._claim.owner, shards, [self._claim.epochs[shard] for shard in shards]

    def abandon(self, reason: str) -> None:
        """End the tenure, because engine and tables may differ."""
        self._engine.fail(reason)

    async def end(self) -> None:
        """End all of it; what still waits gets TenureLost."""
        self._ended = True
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

    async def finish(self) -> None:
        """Commit what is decided, write checkpoints, give the lease back; requests must have ceased. Then `end`."""
        self._heart.cancel()
        await self._engine.ask(["PING ts=0"], self._config.heartbeat_timeout)
        await self.log.flushed()
        self._commits.cancel()
        reader = await self._connect("checkpoint", self._config.recovery_timeout)
        with cut_after(reader, self._config.recovery_timeout):
            await write_checkpoints(reader, least=1)
        await release(self._keeper, self._config.owner)

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
        if self._ended:
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

        self._engine.send(lines, decided)
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

    def _guard(self, work: Coroutine[Any, Any, Any], connection: Connection | None = None) -> asyncio.Task[Any]:
        task = asyncio.create_task(work)
        self._guards[task] = connection
        return task

    async def _connect(self, name: str, statement_timeout: float) -> Connection:
        connection = await connect(self._config.postgres_dsn, statement_timeout=statement_timeout, name=f"veloz {name}")
        self._stack.push_async_callback(connection.close)
        self._stack.callback(cut, connection)  # first: whatever waits on it ends
        return connection

    async def _keep_lease(self) -> None:
        config = self._config
        while True:
            await asyncio.sleep(config.lease_interval)
            with cut_after(self._keeper, config.lease_ttl - config.lease_interval):
                self.renewal = await renew(self._keeper, self._claim, config.lease_ttl)

    async def _keep_checkpoints(self) -> None:
        """Now and then prove the log and leave a checkpoint, so that a recovery has little to fold.

        In a thread, because a fold takes long. RecoveryMismatch when log and tables do not agree.
        """
        config, done = self._config, self._logged()
        while True:
            await asyncio.sleep(CHECKPOINT_PAUSE)
            if (now := self._logged()) - done > config.checkpoint_events:
                try:
                    await asyncio.to_thread(
                        run_checkpoints, config.postgres_dsn, config.checkpoint_timeout, self._checkpoint_least()
                    )
                except psycopg.Error as error:
                    log.warning("no checkpoint was written: %s", error)
                    continue
                done = now

    def _checkpoint_least(self) -> int:
        """So few that all accounts together have no more to fold than one may have alone."""
        share = self._config.checkpoint_events // max(1, len(self.log.heads))
        return max(1, min(CHECKPOINT_LEAST, share))

    def _logged(self) -> int:
        return sum(head.seq for head in self.log.heads.values())

    async def _watch_engine(self) -> None:
        """The heartbeat is also what lets orders expire; while recovering nothing may, so the clock stands still then."""
        newest = 0

        def line() -> str:
            nonlocal newest
            if not self._recovered:
                return "PING ts=0"
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

        config = self._config
        raise EngineLost(await self._engine.watch(line, decided, config.heartbeat_interval, config.heartbeat_timeout))

    async def _recover(self, symbols: list[SymbolSpec]) -> None:
        config = self._config
        reader = await self._connect("recovery", config.recovery_timeout)
        with cut_after(reader, config.recovery_timeout):
            await store_symbols(reader, symbols)
            tables = await recover(
                reader,
                self._engine,
                timeout=config.recovery_timeout,
                checkpoint_events=config.checkpoint_events,
                from_start=config.verify_from_start,
            )
        await reader.close()
        self.limits = {name: account.limits for name, account in tables.accounts.items()}
        self.killed = tables.killed
        heads = {name: account.head for name, account in tables.accounts.items()}
        self.log = OrderLog(self._committer, self._claim, heads, self._publish, self._metrics, config.commit_timeout)
