"""A run on a cluster: several accounts under load by way of any gateway while something breaks it; then all is gathered."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from typing import Self, TypeVar

import aiohttp
import msgspec
import psycopg

from tests.faults.campaign import background
from tests.faults.checker import Violation, check
from tests.faults.facts import Digest, Facts, gather
from tests.faults.ledger import Call, Ledger
from tests.faults.load import BUSINESS, Client, Load, settle
from tests.faults.scale import scaled
from tests.faults.shard_checker import check_shards
from tests.faults.stream import AdminFollower, Follower
from tests.faults.system import System

DIGEST_SECONDS = 0.5
BY_BALANCER = 0.5  # share of the requests that go by way of the balancer; the others go to any gateway at random

S = TypeVar("S", bound=System)


class Trader:
    """An account with a key, a ledger, load, and clients that follow its events."""

    def __init__(self, account: str, client: Client, load: Load, followers: Sequence[Follower]) -> None:
        self.account = account
        self.client = client
        self.load = load
        self.followers = followers


class Result(msgspec.Struct, frozen=True):
    """The evidence of a run, an account each."""

    accounts: Sequence[Facts]
    asked_again: int
    gaps: Sequence[float]  # seconds that streams were away

    def violations(self) -> list[Violation]:
        found = [violation for facts in self.accounts for violation in check(facts)]
        return found + check_shards(self.accounts)

    def failed(self) -> list[Call]:
        """Requests that had no answer, or one that only something broken gives."""
        calls = (call for facts in self.accounts for call in facts.calls)
        return [call for call in calls if call.status not in BUSINESS]

    def orders(self) -> int:
        return sum(len(facts.orders) for facts in self.accounts)

    def statuses(self) -> Counter[str]:
        calls = (call for facts in self.accounts for call in facts.calls)
        return Counter(str(call.status or call.error.split("(")[0]) for call in calls)

    def summary(self) -> str:
        statuses = self.statuses()
        epochs = sum(len({row.epoch for row in facts.log}) for facts in self.accounts)
        return (
            f"{len(self.accounts)} accounts, {statuses.total()} requests {dict(sorted(statuses.items()))}, "
            f"{self.orders()} orders, {sum(facts.head for facts in self.accounts)} events under {epochs} epochs, "
            f"{sum(facts.trades for facts in self.accounts)} fills, {self.asked_again} asked again, "
            f"{sum(len(facts.digests) for facts in self.accounts)} engine digests, {len(self.gaps)} streams came back, "
            f"the slowest after {max(self.gaps, default=0):.2f} s"
        )


class Fleet:
    """Traders on a cluster, from open accounts to gathered evidence."""

    def __init__(self, cluster: System, directory: Path, seed: int) -> None:
        self.cluster = cluster
        self.traders: list[Trader] = []
        self.digests: dict[str, list[Digest]] = {}
        self._directory = directory
        self._rng = random.Random(seed)
        self._seed = seed
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def open(self, accounts: int, rate: float, followers: int, url: Callable[[], str] | None = None) -> None:
        """Open accounts, `rate` actions a second over all of them."""
        for number in range(accounts):
            account = f"fleet-{self._seed}-{number}"
            headers = await self.cluster.open_account(account)
            ledger = self._stack.enter_context(Ledger(self._directory / f"{account}.jsonl"))
            client = await self._stack.enter_async_context(Client(url or self.anywhere, headers, ledger))
            load = Load(client, self._rng.getrandbits(32), rate / accounts)
            watchers = [Follower(url or self.any_gateway, headers, patient=url is not None) for _ in range(followers)]
            self.traders.append(Trader(account, client, load, watchers))
            self.digests[account] = []

    def any_gateway(self) -> str:
        return self._rng.choice(self.cluster.urls())

    def anywhere(self) -> str:
        return self.cluster.url if self._rng.random() < BY_BALANCER else self.any_gateway()

    async def sample_digests(self) -> None:
        """Ask engines for the digest of their state until cancelled; what gives no answer is left out."""
        timeout = aiohttp.ClientTimeout(total=4)
        async with aiohttp.ClientSession(headers=self.cluster.headers, timeout=timeout) as session:
            while True:
                account = self._rng.choice(self.traders).account
                with suppress(aiohttp.ClientError, TimeoutError):
                    query = f"{self.any_gateway()}/api/admin/digest?account={account}"
                    async with session.get(query) as answer:
                        if answer.status == 200:
                            self.digests[account].append(msgspec.convert(await answer.json(), Digest))
                await asyncio.sleep(DIGEST_SECONDS)

    async def last_digests(self) -> None:
        for account, digests in self.digests.items():
            found = await self.cluster.ask("GET", f"/api/admin/digest?account={account}")
            digests.append(msgspec.convert(found, Digest))

    async def heads(self) -> dict[str, int]:
        async with await psycopg.AsyncConnection.connect(self.cluster.database) as connection:
            accounts = [trader.account for trader in self.traders]
            cursor = await connection.execute("SELECT account, seq FROM accounts WHERE account = ANY(%s)", (accounts,))
            return dict(await cursor.fetchall())

    def gather(self, admin: AdminFollower) -> list[Facts]:
        seen = admin.by_account()
        with psycopg.connect(self.cluster.database) as connection:
            return [
                msgspec.structs.replace(
                    gather(connection, [trader.client.ledger.path], trader.followers, trader.account),
                    digests=self.digests[trader.account],
                    seen_by_admin=seen.get(trader.account, []),
                )
                for trader in self.traders
            ]


async def campaign(  # noqa: PLR0913 - what a run is
    cluster: S,
    directory: Path,
    break_it: Callable[[S], Awaitable[None]],
    *,
    seed: int,
    accounts: int = scaled(4, 8),
    rate: float = scaled(50, 80),
    followers: int = 1,
    by_balancer: bool = False,
) -> Result:
    """Load while `break_it` runs; the cluster must then settle, hash every account, cancel all orders and be gathered.

    `by_balancer`: all of it by way of the balancer; the followers then wait before they come back as they were told to.
    """
    async with Fleet(cluster, directory, seed) as fleet:
        admin = AdminFollower(fleet.any_gateway, cluster.headers)
        way = (lambda: cluster.url) if by_balancer else None
        async with background(admin.run()):
            await admin.connected()
            await fleet.open(accounts, rate, followers, way)
            watchers = [watcher for trader in fleet.traders for watcher in trader.followers]
            async with background(fleet.sample_digests(), *(watcher.run() for watcher in watchers)):
                stop = asyncio.Event()
                loads = [asyncio.create_task(trader.load.run(stop)) for trader in fleet.traders]
                try:
                    await break_it(cluster)
                finally:
                    stop.set()
                    await asyncio.gather(*loads)
                await cluster.start()
                asked_again = [await settle(trader.client) for trader in fleet.traders]
                await fleet.last_digests()
                await _close(cluster, fleet, admin)
        facts = fleet.gather(admin)
    return Result(facts, sum(asked_again), [gap for watcher in (admin, *watchers) for gap in watcher.gaps])


async def _close(cluster: System, fleet: Fleet, admin: AdminFollower) -> None:
    """With no order open nothing more happens; then everybody must have seen everything."""
    for trader in fleet.traders:
        await cluster.ask("POST", "/api/cancel_all", {"account": trader.account})
    heads = await fleet.heads()
    for trader in fleet.traders:
        for watcher in trader.followers:
            await watcher.reached(heads[trader.account])
    await admin.saw(heads)
