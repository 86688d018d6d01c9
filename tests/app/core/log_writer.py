"""A log written without an engine, and a reader that notes what came when."""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress

from app.database import Connection, Pool, connect, make_pool
from app.hub import EventHub, LogEntry, StreamItem, Subscription

_APPEND = b"""INSERT INTO order_wal (account, seq, epoch, ts_ns, type, payload)
SELECT %s, n, 1, %s, 'account', format('{ "account": "%%s", "n": %%s.50%%s}', %s::text, n, %s::text)::json
FROM generate_series(%s::bigint, %s::bigint) n RETURNING account, seq, type, client_order_id, payload::text, ts_ns"""


class LogWriter:
    """Commits events to a database as a gateway does, and hands them to whoever publishes."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self.heads: dict[str, int] = {}

    async def open(self, account: str) -> None:
        await self._connection.execute(
            "INSERT INTO accounts (account, shard, chain) VALUES (%s, 0, sha256(''))", (account,)
        )
        self.heads[account] = 0

    async def commit(self, account: str, count: int = 1, *, pad: int = 0, ts_ns: int = 0) -> tuple[list[LogEntry], int]:
        """So many events, each `pad` bytes longer; returns them and their transaction."""
        first, last = self.heads[account] + 1, self.heads[account] + count
        values = (account, ts_ns or time.time_ns(), account, " " * pad, first, last)
        async with self._connection.transaction():
            rows = await (await self._connection.execute(_APPEND, values)).fetchall()
            await self._connection.execute("UPDATE accounts SET seq = %s WHERE account = %s", (last, account))
            found = await (await self._connection.execute("SELECT pg_current_xact_id()::text::bigint")).fetchone()
        self.heads[account] = last
        assert found is not None
        return [LogEntry(name, seq, kind, ref, text.encode(), at) for name, seq, kind, ref, text, at in rows], int(
            found[0]
        )


class Reader:
    """Everything a subscription gives, and when it came (monotonic seconds)."""

    def __init__(self) -> None:
        self.items: list[StreamItem] = []
        self.times: dict[str, float] = {}

    async def follow(self, subscription: Subscription) -> None:
        while True:
            for item in await subscription.next(5):
                self.items.append(item)
                self.times[item.id or ""] = time.monotonic()

    @property
    def ids(self) -> list[int]:
        return [int(item.id or 0) for item in self.items]


@asynccontextmanager
async def writing(dsn: str) -> AsyncIterator[LogWriter]:
    async with await connect(dsn, statement_timeout=5, name="writer") as connection:
        yield LogWriter(connection)


@asynccontextmanager
async def pooled(dsn: str) -> AsyncIterator[Pool]:
    pool = make_pool(dsn, size=4, timeout=1)
    await pool.open()
    try:
        yield pool
    finally:
        await pool.close()


@asynccontextmanager
async def reading(hub: EventHub, account: str, after: int | None = 0) -> AsyncIterator[Reader]:
    """A reader of one account, or with `*` of all; it reads until the end of the block."""
    reader = Reader()
    subscribing = hub.subscribe_all(None) if account == "*" else hub.subscribe(account, after)
    async with subscribing as subscription:
        task = asyncio.create_task(reader.follow(subscription))
        try:
            yield reader
        finally:
            task.cancel()
            with suppress(asyncio.CancelledError):
                await task
