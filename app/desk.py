"""Commands carried out on this gateway's engine, for the accounts that are in it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import Any, Final, TypeVar, assert_never

import msgspec

from app.accounts import Accounts
from app.commands import OPEN, Amend, Answer, Cancel, NewOrder, Status
from app.database import Pool
from app.errors import ExecutionUnavailable, NotFound, Unknown
from app.hub import LogEntry
from app.lookup import Key, OrderLookup
from app.metrics_core import CoreMetrics
from app.open_orders import OpenOrders
from app.requests import (
    AmendOrder,
    CancelOrder,
    CancelOrders,
    Change,
    Digest,
    OpenAccount,
    ReadDigest,
    Request,
    SetKill,
    SetLimits,
    Submit,
)
from app.tenure import Outcome, Tenure, TenureLost
from app.verdicts import again, answer_in, closed, refused, rejected, taken
from app.wal_rows import FirstAnswer
from app.wire import amend_line, cancel_line, decode_hash, order_line, token

T = TypeVar("T")

# A change that came before its order finds it open in the database and not in the engine; asked again, the engine has it.
OVERTAKEN: Final = 2

_answer = msgspec.json.Decoder(Answer).decode


class _Flight(msgspec.Struct, frozen=True):
    """An order on its way: a second submit of the same id joins it."""

    digest: bytes
    task: asyncio.Task[Answer]


class Desk:
    """Every command raises NotHere when its account is not in service here, and Unknown for what may or may not have happened."""

    def __init__(
        self, pool: Pool, lookup: OrderLookup, metrics: CoreMetrics, *, most: int, count: Callable[[str], int]
    ) -> None:
        """`most`: commands at once. `count`: how many open orders an account has, as committed."""
        self._lookup = lookup
        self._metrics = metrics
        self._most = most
        self._accounts = Accounts(pool)
        self._open_orders = OpenOrders(pool, count)
        self._flights: dict[Key, _Flight] = {}
        self._commands: set[asyncio.Task[Any]] = set()

    async def carry_out(self, tenure: Tenure, request: Request, deadline: float) -> Any:  # noqa: ANN401 - ANSWERS[type(request)]
        """The request's answer, or what refuses it; by `deadline` (monotonic) at the latest."""
        if len(self._commands) >= self._most:
            raise ExecutionUnavailable(f"{len(self._commands)} commands are in flight, that is the limit", 0.1)
        if difference := tenure.faults.get(request.account):
            raise ExecutionUnavailable(f"orders cannot be taken now; recovery: account {request.account}: {difference}")
        with self._metrics.command_seconds.labels(request.__struct_config__.tag).time():
            return await self._answered(self._begun(tenure, request), request.name, deadline)

    def _begun(self, tenure: Tenure, request: Request) -> asyncio.Task[Any]:
        if isinstance(request, Submit):
            return self._submitted(tenure, request.command, request.key_id)
        return self._command(tenure, request, self._work(tenure, request))

    def _work(self, tenure: Tenure, request: Change) -> Coroutine[Any, Any, Any]:
        match request:
            case CancelOrder(command):
                work: Coroutine[Any, Any, Any] = self._cancel(tenure, command, cancel_line(command))
            case AmendOrder(command):
                work = self._amend(tenure, command, amend_line(command))
            case CancelOrders(command):
                work = self._open_orders.cancel_all(tenure, command)
            case OpenAccount(account, balances, limits):
                work = self._accounts.open(tenure, account, balances, limits)
            case SetLimits(account, changes):
                work = self._accounts.set_limits(tenure, account, changes)
            case SetKill(account, on):
                work = self._accounts.set_kill(tenure, account, on=on)
            case ReadDigest(account):
                work = self._digest(tenure, account)
            case _:
                assert_never(request)
        return work

    async def ping(self, tenure: Tenure, deadline: float) -> None:
        """A round trip through the engine. Unknown."""
        await self._answered(self._task(_outcome(tenure, f"PING ts={time.time_ns()}"), "ping"), "ping", deadline)

    async def cancel_of_key(self, tenure: Tenure, account: str, key_id: str | None, reason: str) -> int:
        """Cancel the account's open orders that the key placed; how many. NotHere, Unknown, one of DATABASE_AWAY."""
        with tenure.using(account), self.unknown_when_lost(account):
            return await self._open_orders.cancel_of_key(tenure, account, key_id, reason)

    async def finish(self, timeout: float) -> None:
        """Return when nothing is in flight, or after `timeout` seconds."""
        if self._commands:
            await asyncio.wait(self._commands, timeout=timeout)

    async def close(self) -> None:
        for task in self._commands:
            task.cancel()
        await asyncio.gather(*self._commands, return_exceptions=True)

    # How a command is begun and awaited.

    def _submitted(self, tenure: Tenure, order: NewOrder, key_id: str | None) -> asyncio.Task[Answer]:
        key, digest = (order.account, order.client_order_id), order.digest()
        flight = self._flights.get(key)
        if flight is None:
            work = self._carry_out(tenure, order, order_line(order), digest, key_id)
            task = self._command(tenure, Submit(order, key_id), work)
            flight = self._flights[key] = _Flight(digest, task)
            task.add_done_callback(lambda _: self._flights.pop(key))
        elif flight.digest != digest:
            raise taken(order.client_order_id)
        return flight.task

    def _command(self, tenure: Tenure, request: Request, work: Coroutine[Any, Any, T]) -> asyncio.Task[T]:
        """Carry it out whether or not the one who asked stays. NotHere before anything is done."""
        using = tenure.using(request.account)
        try:
            using.__enter__()
        except BaseException:
            work.close()
            raise
        task = self._task(work, request.name)
        task.add_done_callback(lambda _: using.__exit__(None, None, None))
        return task

    def _task(self, work: Coroutine[Any, Any, T], name: str) -> asyncio.Task[T]:
        async def known_or_unknown() -> T:
            with self.unknown_when_lost(name):
                return await work

        task = asyncio.create_task(known_or_unknown())
        self._commands.add(task)
        self._metrics.in_flight.inc()
        task.add_done_callback(self._done)
        return task

    def _done(self, task: asyncio.Task[Any]) -> None:
        self._commands.discard(task)
        self._metrics.in_flight.dec()
        if not task.cancelled():
            task.exception()  # retrieved: the one who asked may have gone

    @contextmanager
    def unknown_when_lost(self, name: str) -> Iterator[None]:
        """Unknown in place of TenureLost."""
        try:
            yield
        except TenureLost as error:
            self._metrics.unknown.inc()
            raise Unknown(
                f"the engine or the log was lost with {name} under way; ask again with the same id"
            ) from error

    async def _answered(self, task: asyncio.Task[T], name: str, deadline: float) -> T:
        started = time.monotonic()
        done, _ = await asyncio.wait({task}, timeout=max(0.0, deadline - started))
        if not done:
            self._metrics.unknown.inc()
            raise Unknown(f"no answer about {name} within {deadline - started:.1f} s; ask again with the same id")
        if task.cancelled():
            raise Unknown(f"this gateway was shut down with {name} under way; ask again with the same id")
        return task.result()

    # How a command is carried out.

    async def _carry_out(self, tenure: Tenure, order: NewOrder, line: str, digest: bytes, key_id: str | None) -> Answer:
        known = await self._lookup.find(order.account, order.client_order_id)
        if known is not None:
            return again(order.client_order_id, digest, known)
        if tenure.ended:  # what the look-up said may be of another time
            raise ExecutionUnavailable("the engine was lost before it heard of the order")

        def first(entries: list[LogEntry]) -> FirstAnswer | None:
            answer = answer_in(entries, order.account, order.client_order_id)
            if answer is None:
                return None
            status = 422 if answer.status == Status.REJECTED else 200
            return FirstAnswer(order.client_order_id, digest, msgspec.json.encode(answer), status, key_id)

        outcome = await tenure.request([f"{line} ts={time.time_ns()}"], first=first)
        if outcome.first is None:
            raise refused(outcome.batch)
        answer = _answer(outcome.first.answer)
        if answer.status == Status.REJECTED:
            self._metrics.rejects.labels(answer.reason).inc()
            raise rejected(answer)
        return answer

    async def _cancel(self, tenure: Tenure, command: Cancel, line: str) -> Answer:
        known, changed = await self._change(tenure, command, line, command.symbol)
        if changed or (known.status == Status.CANCELLED and known.reason == command.reason):
            return known
        raise closed(known)

    async def _amend(self, tenure: Tenure, command: Amend, line: str) -> Answer:
        known, changed = await self._change(tenure, command, line)
        if changed:
            return known
        raise closed(known)

    async def _change(
        self, tenure: Tenure, command: Cancel | Amend, line: str, symbol: str | None = None
    ) -> tuple[Answer, bool]:
        """The order, and whether the engine found it open to be changed. The order must be of `symbol` when given."""
        account, order_id = command.account, command.client_order_id
        for _ in range(OVERTAKEN):
            outcome = await _outcome(tenure, f"{line} ts={time.time_ns()}")
            error = outcome.batch.error()
            answer = answer_in(outcome.entries, account, order_id)
            if error is None and answer is not None:
                return answer, True
            if error is not None and error[0] != "NOT_FOUND":
                raise refused(outcome.batch)
            known = await self._lookup.find(account, order_id)
            if known is None or symbol not in (None, known.symbol):
                raise NotFound(f"account {account} has no order {order_id}{f' of {symbol}' if symbol else ''}")
            if error is None:
                return known.now, True  # it had these values already
            if known.now.status not in OPEN:
                return known.now, False
        raise ExecutionUnavailable(f"order {order_id} came to be open meanwhile; ask again", 0.1)

    async def _digest(self, tenure: Tenure, account: str) -> Digest:
        if account not in tenure.log.heads:
            raise NotFound(f"there is no account {account}")
        seq = 0

        def first(_: list[LogEntry]) -> None:
            nonlocal seq
            seq = tenure.log.heads[account].seq

        outcome = await tenure.request([f"HASH {token('account', account)} ts={time.time_ns()}"], first=first)
        if outcome.batch.error():
            raise refused(outcome.batch)
        found = next(event for event in outcome.batch.events if event.type == "hash")
        return Digest(account, seq, decode_hash(found.payload).hash)


async def _outcome(tenure: Tenure, line: str) -> Outcome:
    return await tenure.request([line])
