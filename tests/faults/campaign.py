"""One run: load and followers on a gateway while something breaks it; then everything is settled and gathered."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from pathlib import Path

import msgspec
import psycopg

from tests.faults.facts import Facts, gather
from tests.faults.gateway import Gateway, running
from tests.faults.ledger import Ledger
from tests.faults.load import Client, Load, settle
from tests.faults.stream import Follower

LEDGER = "ledger.jsonl"

Break = Callable[[Gateway], Awaitable[None]]


class Result(msgspec.Struct, frozen=True):
    """The evidence of a run, and how many orders were asked about again because no answer had come."""

    facts: Facts
    asked_again: int
    connections: int

    def summary(self) -> str:
        statuses: dict[str, int] = {}
        for call in self.facts.calls:
            name = str(call.status or call.error.split("(")[0])
            statuses[name] = statuses.get(name, 0) + 1
        return (
            f"{len(self.facts.calls)} requests {dict(sorted(statuses.items()))}, {len(self.facts.orders)} orders, "
            f"{self.facts.head} events, {self.facts.trades} fills, {self.asked_again} asked again, "
            f"{self.connections} stream connections"
        )


async def campaign(
    directory: Path, environ: Mapping[str, str], break_it: Break, *, seed: int, rate: float = 120, followers: int = 2
) -> Result:
    """Load at `rate` actions a second while `break_it` runs; the gateway is then restarted once more and checked.

    That last start is part of the evidence: it is ready only when engine, tables and log are equal.
    """
    with Ledger(directory / LEDGER) as ledger:
        async with running(directory, environ) as gateway, Client(gateway.url, gateway.headers, ledger) as client:
            watchers = [Follower(gateway.url, gateway.headers) for _ in range(followers)]
            async with background(*(watcher.run() for watcher in watchers)):
                stop = asyncio.Event()
                load = asyncio.create_task(Load(client, seed, rate).run(stop))
                try:
                    await break_it(gateway)
                finally:
                    stop.set()
                    await load
                asked_again = await settle(client)
                gateway.kill()
                gateway.start()
                await gateway.ready()
                await client.post("/api/cancel_all", {})
                head = await quiet_head(environ["VELOZ_POSTGRES_DSN"])
                for watcher in watchers:
                    await watcher.reached(head)
    with psycopg.connect(environ["VELOZ_POSTGRES_DSN"]) as connection:
        facts = gather(connection, [ledger.path], watchers)
    return Result(facts, asked_again, sum(watcher.connections for watcher in watchers))


async def quiet_head(dsn: str, account: str = "main") -> int:
    """The account's last `seq`. With no order open nothing more happens to it."""
    async with await psycopg.AsyncConnection.connect(dsn) as connection:
        cursor = await connection.execute("SELECT seq FROM accounts WHERE account = %s", (account,))
        row = await cursor.fetchone()
    return int(row[0]) if row else 0


@contextlib.asynccontextmanager
async def background(*work: Awaitable[None]) -> AsyncIterator[None]:
    """Tasks beside what is inside; one's error is raised at the end."""
    tasks = [asyncio.ensure_future(one) for one in work]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        for result in await asyncio.gather(*tasks, return_exceptions=True):
            if isinstance(result, Exception):
                raise result
