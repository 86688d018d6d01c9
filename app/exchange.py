"""The order path: the only door from handlers to engine, log and markets."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, Final, TypeVar

import msgspec

from app.accounts import Accounts, open_account
from app.commands import OPEN, Amend, Answer, Cancel, CancelAll, NewOrder, Status
from app.database import Pool, make_pool
from app.errors import Conflict, ExecutionUnavailable, NotFound, Unknown
from app.exchange_config import ExchangeConfig, StartRefused
from app.feeder import Feeder
from app.feeds import Feed
from app.hub import EventHub, LogEntry
from app.key_orders import cancel_of_key
from app.limits import Limits
from app.lookup import Key, OrderLookup
from app.market_view import MarketView
from app.metrics_core import CoreMetrics
from app.publisher import Publisher
from app.supervisor import Component, Supervisor
from app.tenure import Outcome, Tenure, TenureLost
from app.verdicts import again, answer_in, cancelled_in, refused, rejected, taken
from app.wal_rows import FirstAnswer
from app.wire import amend_line, cancel_all_line, cancel_line, order_line

__all__ = ["Component", "Exchange", "StartRefused"]

MAIN: Final = "main"
_OPEN: Final = b"SELECT account, client_order_id, status FROM orders WHERE status IN ('ACCEPTED', 'PARTIALLY_FILLED')"

T = TypeVar("T")
_answer = msgspec.json.Decoder(Answer).decode


class _Flight(msgspec.Struct, frozen=True):
    """An order on its way: a second submit of the same id joins it."""

    digest: bytes
    task: asyncio.Task[Answer]


class Exchange:
    """One gateway's order path. Every command raises ExecutionUnavailable at once while it cannot be carried out.

    What may or may not have happened raises Unknown: the same command again tells.
    """

    def __init__(self, config: ExchangeConfig, feed: Feed | None, metrics: CoreMetrics) -> None:
        self.pool: Pool = make_pool(config.postgres_dsn, size=config.pool_size, timeout=config.lookup_timeout)
        self.hub = EventHub(self.pool, lambda: self._supervisor.led_elsewhere)
        self._config = config
        self._metrics = metrics
        self._publisher = Publisher(self.hub, metrics)
        self.markets: dict[str, MarketView] = self._publisher.markets
        self._lookup = OrderLookup(self.pool, config.lookup_timeout)
        self._supervisor = Supervisor(
            config, feed.symbols if feed else (), metrics, self._publisher.publish, self._prepare, self._recovered
        )
        self._accounts = Accounts(self.pool, self._supervisor.current)
        self._feeder = Feeder(feed, config.max_feed_in_flight, self._supervisor.next_tenure) if feed else None
        self._flights: dict[Key, _Flight] = {}
        self._commands: set[asyncio.Task[Any]] = set()
        self._background: list[asyncio.Task[None]] = []
        self._feeding: asyncio.Task[None] | None = None
        self._draining = False

    @classmethod
    def create(cls, config: ExchangeConfig, feed: Feed | None, metrics: CoreMetrics) -> Exchange:
        """Nothing runs before `start`; call it on the event loop that will."""
        return cls(config, feed, metrics)

    async def start(self) -> None:
        """Claim the shards, recover, start the feed; the schema is already migrated.

        Returns after the first attempt. When that failed in a way that may pass (database away, recovery mismatch), it
        goes on trying in the background and `components` says what is wrong. StartRefused is what only an operator can
        mend.
        """
        await self.pool.open(wait=False)
        self._background.append(asyncio.create_task(self._lookup.run()))
        await self._supervisor.start()
        if self._feeder is not None:
            self._feeding = asyncio.create_task(self._feeder.run())
            self._background.append(self._feeding)

    async def drain(self, timeout: float) -> None:
        """Refuse new commands, finish those in flight within `timeout` seconds, write checkpoints, release the shards."""
        self._draining = True
        deadline = time.monotonic() + timeout
        if self._feeding is not None:
            self._feeding.cancel()
        if self._commands:
            await asyncio.wait(self._commands, timeout=timeout)
        finishing = asyncio.create_task(self._supervisor.finish())
        await asyncio.wait({finishing}, timeout=max(0.0, deadline - time.monotonic()))
        finishing.cancel()

    async def close(self) -> None:
        """End everything; after `drain`, or without it for a quick end."""
        self._draining = True
        await self._supervisor.stop()
        for task in (*self._background, *self._commands):
            task.cancel()
        await asyncio.gather(*self._background, *self._commands, return_exceptions=True)
        await self.pool.close()

    @property
    def ready(self) -> bool:
        """Whether commands are taken now."""
        return self._supervisor.tenure is not None and not self._draining

    @property
    def broken(self) -> bool:
        """Whether a defect ended the order path for good, so that only a new process helps."""
        return self._supervisor.broken

    def retry(self) -> None:
        """Try to recover at once instead of waiting for the next attempt."""
        self._supervisor.retry()

    async def submit(self, order: NewOrder, *, key_id: str | None) -> Answer:
        """Carry an order out once for ever; the same order again gets its first answer.

        Raises Conflict (id taken by another order), RiskRejected, BadParams (the engine refuses it), NotFound (account).
        """
        key, digest = (order.account, order.client_order_id), order.digest()
        flight = self._flights.get(key)
        if flight is None:
            tenure, line = self._admit(), order_line(order)
            task = self._command(self._carry_out(tenure, order, line, digest, key_id))
            flight = self._flights[key] = _Flight(digest, task)
            task.add_done_callback(lambda _: self._flights.pop(key))
        elif flight.digest != digest:
            raise taken(order.client_order_id)
        with self._metrics.command_seconds.labels("order").time():
            return await self._answered(flight.task, order.client_order_id)

    async def cancel(self, command: Cancel) -> Answer:
        """Cancel an open order. One already cancelled with the same reason is answered again.

        Raises NotFound (no such order), Conflict (closed otherwise; the message names its status).
        """
        tenure, line = self._admit(), cancel_line(command)
        task = self._command(self._cancel(tenure, command, line))
        with self._metrics.command_seconds.labels("cancel").time():
            return await self._answered(task, command.client_order_id)

    async def amend(self, command: Amend) -> Answer:
        """Change an open order; what it already has is answered again.

        Raises NotFound, Conflict (closed), RiskRejected, BadParams.
        """
        tenure, line = self._admit(), amend_line(command)
        task = self._command(self._amend(tenure, command, line))
        with self._metrics.command_seconds.labels("amend").time():
            return await self._answered(task, command.client_order_id)

    async def cancel_all(self, command: CancelAll) -> list[Answer]:
        """Cancel the account's open orders, in rank order. NotFound (account), BadParams (symbol)."""
        tenure, line = self._admit(), cancel_all_line(command)
        task = self._command(self._cancel_all(tenure, command, line))
        with self._metrics.command_seconds.labels("cancel_all").time():
            return await self._answered(task, "cancel_all")

    def owns(self, account: str) -> bool:
        """Whether the account's commands are carried out here now."""
        tenure = self._supervisor.tenure
        return tenure is not None and account in tenure.limits and not self._draining

    async def cancel_of_key(self, account: str, key_id: str | None, reason: str) -> int:
        """Cancel the account's open orders that the key placed; how many. On the owner only: else ExecutionUnavailable."""
        tenure = self._admit()
        if account not in tenure.limits:
            raise ExecutionUnavailable(f"account {account} is not in service here")
        with _unknown_when_lost():
            work = cancel_of_key(self.pool, tenure, account, key_id, reason)
            return await self._answered(self._command(work), f"the cancels of {account}")

    async def open_account(self, account: str, balances: Mapping[str, int], limits: Limits) -> None:
        """Open an account with starting balances; Conflict when it exists."""
        self._admit()
        with _unknown_when_lost():
            await self._answered(self._command(self._accounts.open(account, balances, limits)), account)

    async def set_limits(self, account: str, changes: Mapping[str, int]) -> Limits:
        """Change limits durably, then in the engine; returns all of them. NotFound, BadParams."""
        self._admit()
        with _unknown_when_lost():
            return await self._answered(self._command(self._accounts.set_limits(account, changes)), account)

    async def set_kill(self, account: str | None, *, on: bool) -> None:
        """Turn the kill switch of an account, or with None the global one; survives restarts. NotFound."""
        self._admit()
        change = self._accounts.set_global_kill(on=on) if account is None else self._accounts.set_kill(account, on=on)
        with _unknown_when_lost():
            await self._answered(self._command(change), account or "kill switch")

    def limits(self, account: str) -> Limits:
        """The account's limits in force; NotFound."""
        found = self._supervisor.limits.get(account)
        if found is None:
            raise NotFound(f"there is no account {account}")
        return found

    @property
    def killed(self) -> bool:
        """The global kill switch."""
        tenure = self._supervisor.tenure
        return tenure.killed if tenure else self._supervisor.killed

    def accounts(self) -> list[str]:
        """The accounts of this gateway, sorted."""
        return sorted(self._supervisor.limits)

    async def ping(self) -> float:
        """Seconds of a round trip through the engine."""
        tenure, start = self._admit(), time.monotonic()
        await self._answered(self._command(_outcome(tenure, f"PING ts={time.time_ns()}")), "ping")
        return time.monotonic() - start

    def components(self) -> dict[str, Component]:
        """Health of engine, database, leases, market_data, recovery and clock."""
        return {**self._supervisor.components(), "market_data": self._market_data()}

    # How a command is admitted, awaited and carried out.

    def _admit(self) -> Tenure:
        if self._draining:
            raise ExecutionUnavailable("this gateway is shutting down")
        if len(self._commands) >= self._config.max_in_flight:
            raise ExecutionUnavailable(f"{len(self._commands)} commands are in flight, that is the limit", 0.1)
        return self._supervisor.current()

    def _command(self, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Carry it out whether or not the one who asked stays."""
        task = asyncio.create_task(work)
        self._commands.add(task)
        task.add_done_callback(self._done)
        self._metrics.in_flight.inc()
        return task

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._commands.discard(task)
        self._metrics.in_flight.dec()
        if not task.cancelled():
            task.exception()  # retrieved: the one who asked may have gone

    async def _answered(self, task: asyncio.Task[T], name: str) -> T:
        done, _ = await asyncio.wait({task}, timeout=self._config.submit_timeout)
        if not done:
            self._metrics.unknown.inc()
            raise Unknown(f"no answer about {name} within {self._config.submit_timeout} s; ask again with the same id")
        if task.cancelled():
            raise Unknown(f"this gateway was shut down with {name} under way; ask again with the same id")
        return task.result()

    async def _carry_out(self, tenure: Tenure, order: NewOrder, line: str, digest: bytes, key_id: str | None) -> Answer:
        known = await self._lookup.find(order.account, order.client_order_id)
        if known is not None:
            return again(order.client_order_id, digest, known)
        if self._supervisor.tenure is not tenure:  # what the look-up said may be of another time
            raise ExecutionUnavailable("the engine was lost before it heard of the order")

        def first(entries: list[LogEntry]) -> FirstAnswer | None:
            answer = answer_in(entries, order.account, order.client_order_id)
            if answer is None:
                return None
            status = 422 if answer.status == Status.REJECTED else 200
            return FirstAnswer(order.client_order_id, digest, msgspec.json.encode(answer), status, key_id)

        with self._unknown(order.client_order_id):
            outcome = await tenure.request([f"{line} ts={time.time_ns()}"], first=first)
        if outcome.first is None:
            raise refused(outcome.batch)
        return self._first(_answer(outcome.first.answer))

    def _first(self, answer: Answer) -> Answer:
        if answer.status == Status.REJECTED:
            self._metrics.rejects.labels(answer.reason).inc()
            raise rejected(answer)
        return answer

    async def _cancel(self, tenure: Tenure, command: Cancel, line: str) -> Answer:
        with self._unknown(command.client_order_id):
            outcome = await _outcome(tenure, f"{line} ts={time.time_ns()}")
        error = outcome.batch.error()
        answer = answer_in(outcome.entries, command.account, command.client_order_id)
        if error is None and answer is not None:
            return answer
        known = await self._known(outcome, command.account, command.client_order_id, command.symbol)
        if known.status == Status.CANCELLED and known.reason == command.reason:
            return known
        raise Conflict(f"order {command.client_order_id} is {known.status} already")

    async def _amend(self, tenure: Tenure, command: Amend, line: str) -> Answer:
        with self._unknown(command.client_order_id):
            outcome = await _outcome(tenure, f"{line} ts={time.time_ns()}")
        error = outcome.batch.error()
        answer = answer_in(outcome.entries, command.account, command.client_order_id)
        if error is None and answer is not None:
            return answer
        known = await self._known(outcome, command.account, command.client_order_id)
        if error is None:
            return known  # it had these values already
        raise Conflict(f"order {command.client_order_id} is {known.status} already")

    async def _cancel_all(self, tenure: Tenure, command: CancelAll, line: str) -> list[Answer]:
        with self._unknown("cancel_all"):
            outcome = await _outcome(tenure, f"{line} ts={time.time_ns()}")
        if outcome.batch.error():
            raise refused(outcome.batch)
        return cancelled_in(outcome.entries, command)

    async def _known(self, outcome: Outcome, account: str, client_order_id: str, symbol: str | None = None) -> Answer:
        """The order as the database has it, of `symbol` when given, after the engine found none to change."""
        error = outcome.batch.error()
        if error is not None and error[0] != "NOT_FOUND":
            raise refused(outcome.batch)
        known = await self._lookup.find(account, client_order_id)
        if known is None or symbol not in (None, known.symbol):
            raise NotFound(f"account {account} has no order {client_order_id}{f' of {symbol}' if symbol else ''}")
        if error is not None and known.now.status in OPEN:
            raise ExecutionUnavailable(f"order {client_order_id} came to be open meanwhile; ask again", 0.1)
        return known.now

    @contextmanager
    def _unknown(self, name: str) -> Iterator[None]:
        try:
            yield
        except TenureLost as error:
            self._metrics.unknown.inc()
            raise Unknown(
                f"the engine or the log was lost with {name} under way; ask again with the same id"
            ) from error

    def _market_data(self) -> Component:
        feeder, most = self._feeder, self._config.max_market_age
        if feeder is None:
            return Component(ok=True, detail="no feed")
        if not feeder.running or most is None:
            return Component(ok=not feeder.state.startswith("failed"), detail=f"the feed {feeder.state}")
        newest = max((view.received_ns for view in self.markets.values()), default=0)
        if not newest:
            return Component(ok=False, detail="nothing came yet")
        age = (time.time_ns() - newest) / 1e9
        return Component(ok=age <= most, detail=f"{age:.1f} s old")

    # What the supervisor calls.

    def _recovered(self, heads: dict[str, int]) -> None:
        self._publisher.orders.forget()
        self.hub.resume(heads)

    async def _prepare(self, tenure: Tenure) -> None:
        await self.pool.check()  # connections to a server that is gone would each fail one request
        async with self.pool.connection() as connection:
            rows = await (await connection.execute(_OPEN)).fetchall()
        self._publisher.orders.restored(((account, order), Status(status)) for account, order, status in rows)
        if MAIN not in tenure.limits:
            await open_account(tenure, MAIN, self._config.paper_balances, Limits())


async def _outcome(tenure: Tenure, line: str) -> Outcome:
    return await tenure.request([line])


@contextmanager
def _unknown_when_lost() -> Iterator[None]:
    try:
        yield
    except TenureLost as error:
        raise Unknown("the engine or the log was lost meanwhile; ask again") from error
