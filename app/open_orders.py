"""Cancelling open orders, however many they are: a slice at a time, each its own request and commit.

In one command they would be one batch. The engine's heartbeat waits behind it and its commit has a time limit; so on a slow
machine very many would end the tenure, be open again, and could never be cancelled.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any, Final, TypeAlias
from weakref import WeakValueDictionary

import msgspec

from app.borrow import DATABASE_AWAY, borrowed
from app.commands import Answer, Cancel, CancelAll
from app.database import Connection, Pool, cut_after
from app.errors import ExecutionUnavailable, Unknown
from app.hub import LogEntry
from app.sweep import AT_ONCE
from app.tenure import Place, Tenure
from app.verdicts import cancelled_in, refused
from app.wire import cancel_all_line, cancel_line, token

# 1,500 events, some 30 ms of the gateway's work: with a tenth of a core far from a heartbeat's limit.
SLICE: Final = 500  # orders
SLICES: Final = 2  # at once, of several accounts: one is decided while another is committed
FEW: Final = SLICE // AT_ONCE  # with so few each, all accounts that a sweep asks for at once have no more than a slice

Order: TypeAlias = tuple[str, str]  # account, client_order_id
Read: TypeAlias = Callable[[], AbstractAsyncContextManager[Connection]]

# By rank, because what an amendment or a trigger ranks anew, and what is placed meanwhile, comes behind what was read.
_OPEN: Final = f"""SELECT account, client_order_id, rank FROM orders
WHERE status IN ('ACCEPTED', 'PARTIALLY_FILLED') AND {{}} ORDER BY account, rank LIMIT {SLICE}"""  # noqa: S608 - ours
_BEHIND: Final = "account = %(account)s AND rank > %(rank)s"
_OF_ACCOUNT: Final = _OPEN.format(f"{_BEHIND} AND (%(symbol)s::text IS NULL OR symbol = %(symbol)s)").encode()
_OF_KEY: Final = _OPEN.format(f"{_BEHIND} AND key_id IS NOT DISTINCT FROM %(key_id)s").encode()
_OF_ALL: Final = _OPEN.format("(account, rank) > (%(account)s, %(rank)s)").encode()


class OpenOrders:
    """Those of the accounts in this gateway's engine; `count` says how many an account has, as committed."""

    def __init__(self, pool: Pool, count: Callable[[str], int]) -> None:
        self._read: Read = lambda: borrowed(pool)
        self._count = count
        self._slots = asyncio.Semaphore(SLICES)
        self._turns: WeakValueDictionary[str, asyncio.Lock] = WeakValueDictionary()

    async def cancel_all(self, tenure: Tenure, command: CancelAll) -> list[Answer]:
        """What was cancelled, in rank order. NotFound (account), BadParams (symbol), ExecutionUnavailable, Unknown, TenureLost.

        What is committed when it fails stays cancelled: the same command again cancels the rest.
        """
        count = self._count(command.account)
        if count <= FEW:
            return await _cancel_rest(tenure, command)
        if count <= SLICE:
            async with self._slots:
                return await _cancel_rest(tenure, command)
        turn = self._turns.setdefault(command.account, asyncio.Lock())
        async with turn:  # a client that asks again would only make the first slower
            return await self._cancel_many(tenure, command)

    async def cancel_of_key(self, tenure: Tenure, account: str, key_id: str | None, reason: str) -> int:
        """Cancel those that the key placed; how many. None: the orders of nobody's key.

        TenureLost, Unknown, one of DATABASE_AWAY.
        """
        cancelled, command = 0, CancelAll(account=account, reason=reason)
        async for orders in _slices(tenure, self._read, _OF_KEY, {"account": account, "key_id": key_id}):
            cancelled += len(await self._cancel_slice(tenure, orders, command))
        return cancelled

    async def _cancel_many(self, tenure: Tenure, command: CancelAll) -> list[Answer]:
        account = command.account
        answers: list[Answer] = []
        try:
            async for orders in _slices(
                tenure, self._read, _OF_ACCOUNT, {"account": account, "symbol": command.symbol}
            ):
                if len(orders) < SLICE:
                    break
                answers += await self._cancel_slice(tenure, orders, command)
        except DATABASE_AWAY as error:
            if answers:
                raise Unknown(f"the database fell silent with the orders of {account} under way; ask again") from error
            raise ExecutionUnavailable(f"the database does not say which orders {account} has") from error
        async with self._slots:
            answers += await _cancel_rest(tenure, command)
        last = max((answer.seq for answer in answers), default=0)
        return [msgspec.structs.replace(answer, seq=last) for answer in answers]

    async def _cancel_slice(self, tenure: Tenure, orders: Sequence[Order], command: CancelAll) -> list[Answer]:
        account = command.account
        if tenure.place(account) is not Place.HERE:  # the hand-over waits for us, and other accounts for it
            raise Unknown(f"account {account} goes to another gateway with its orders under way; ask again")
        async with self._slots:
            return cancelled_in(await _cancel(tenure, orders, command.reason), command)


async def cancel_everything(tenure: Tenure, connection: Connection, reason: str) -> None:
    """Cancel every open order; all accounts are in the engine. TenureLost, psycopg.Error."""

    @asynccontextmanager
    async def read() -> AsyncIterator[Connection]:
        with cut_after(connection, tenure.config.recovery_timeout):
            yield connection

    async for orders in _slices(tenure, read, _OF_ALL, {"account": ""}):
        if len(orders) < SLICE:
            break
        await _cancel(tenure, orders, reason)
    await tenure.request([f"CANCEL_ALL acct=* reason={token('reason', reason)} ts={time.time_ns()}"])


async def _slices(
    tenure: Tenure, read: Read, query: bytes, values: Mapping[str, Any]
) -> AsyncIterator[Sequence[Order]]:
    """The open orders by account and rank, each slice read when it is asked for; only the last one has less than SLICE."""
    await tenure.request(["PING ts=0"])  # then what the engine decided before is committed, and can be read
    account, rank, more = values["account"], 0, True
    while more:
        async with read() as connection:
            cursor = await connection.execute(query, {**values, "account": account, "rank": rank})
            rows = await cursor.fetchall()
        more = len(rows) == SLICE
        if more:
            account, _, rank = rows[-1]
        yield [row[:2] for row in rows]


async def _cancel(tenure: Tenure, orders: Sequence[Order], reason: str) -> list[LogEntry]:
    """What came of it, committed. An order that is gone meanwhile is the engine's NOT_FOUND, and as good as cancelled."""
    if not orders:
        return []
    now = time.time_ns()
    lines = [cancel_line(Cancel(account=account, client_order_id=name, reason=reason)) for account, name in orders]
    return (await tenure.request([f"{line} ts={now}" for line in lines])).entries


async def _cancel_rest(tenure: Tenure, command: CancelAll) -> list[Answer]:
    """All that are open, in one command."""
    outcome = await tenure.request([f"{cancel_all_line(command)} ts={time.time_ns()}"])
    if outcome.batch.error():
        raise refused(outcome.batch)
    return cancelled_in(outcome.entries, command)
