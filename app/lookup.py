"""Looking orders up by id, many in one query.

What is asked while a query runs goes into the next one, so the database sees one question a round trip, however many ask.
"""

from __future__ import annotations

import asyncio
from typing import Any, Final, TypeAlias

import msgspec
import psycopg

from app.commands import Answer
from app.database import Pool, cut_after
from app.errors import ExecutionUnavailable

MOST: Final = 1000

Key: TypeAlias = tuple[str, str]  # account, client_order_id
Row: TypeAlias = tuple[Any, ...]

_QUERY = b"""SELECT o.account, o.client_order_id, o.symbol, o.digest, o.answer::text, o.answer_status, o.status, o.reason,
o.last_seq, (o.executed_qty * 1e8)::bigint, (o.executed_notional * 1e8)::bigint, o.venue_order_id
FROM unnest(%s::text[], %s::text[]) AS k(account, client_order_id) JOIN orders o USING (account, client_order_id)"""

_answer = msgspec.json.Decoder(Answer).decode


class Known(msgspec.Struct, frozen=True):
    """An order that is in the database: what it was first answered, and its state now as an answer."""

    symbol: str
    digest: bytes
    first_answer: Answer
    first_status: int
    now: Answer


class OrderLookup:
    """Batched look-ups; `run` must be running."""

    def __init__(self, pool: Pool, timeout: float) -> None:
        self._pool = pool
        self._timeout = timeout
        self._asked: dict[Key, asyncio.Future[Row | None]] = {}
        self._wake = asyncio.Event()

    async def find(self, account: str, client_order_id: str) -> Known | None:
        """The order, or None. ExecutionUnavailable when the database does not say, or nothing that can be read."""
        key = (account, client_order_id)
        future = self._asked.get(key)
        if future is None:
            future = self._asked[key] = asyncio.get_running_loop().create_future()
            self._wake.set()
        row = await asyncio.shield(future)
        try:
            return None if row is None else _known(client_order_id, *row)
        except msgspec.MsgspecError as error:
            raise ExecutionUnavailable(f"the row of order {client_order_id} is damaged: {error}") from error

    async def run(self) -> None:
        """Answer what is asked until cancelled."""
        while True:
            await self._wake.wait()
            round_ = dict(list(self._asked.items())[:MOST])
            for key in round_:
                del self._asked[key]
            if not self._asked:
                self._wake.clear()
            try:
                found = await self._query(list(round_))
            except psycopg.Error as error:
                for future in round_.values():
                    future.set_exception(ExecutionUnavailable(f"the database does not answer: {error}"))
                    future.exception()  # retrieved: the asker may have gone
                continue
            for key, future in round_.items():
                future.set_result(found.get(key))

    async def _query(self, keys: list[Key]) -> dict[Key, Row]:
        accounts, ids = [key[0] for key in keys], [key[1] for key in keys]
        clock = asyncio.get_running_loop().time
        end = clock() + self._timeout
        async with self._pool.connection(self._timeout / 2) as connection:
            with cut_after(connection, end - clock()):
                rows = await (await connection.execute(_QUERY, (accounts, ids), prepare=True)).fetchall()
        return {(row[0], row[1]): row[2:] for row in rows}


def _known(client_order_id: str, *row: Any) -> Known:  # noqa: ANN401 - a row of the query's columns
    symbol, digest, answer, answer_status, status, reason, seq, executed_qty, executed_notional, venue_order_id = row
    now = msgspec.convert(
        {
            "client_order_id": client_order_id,
            "status": status,
            "seq": seq,
            "executed_qty": executed_qty,
            "executed_notional": executed_notional,
            "reason": reason,
            "venue_order_id": venue_order_id,
        },
        Answer,
    )
    return Known(symbol, bytes(digest), _answer(answer), answer_status, now)
