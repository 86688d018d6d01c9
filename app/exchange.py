"""The order path: the only door from handlers to engines, log and markets, on this gateway or another."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import Collection, Mapping
from typing import Any

import msgspec

from app.accounts import read_limits, store_global_kill
from app.borrow import borrowed, heard
from app.commands import Amend, Answer, Cancel, CancelAll, NewOrder
from app.database import Pool, make_pool
from app.desk import Desk
from app.directory import Directory
from app.errors import ExecutionUnavailable
from app.exchange_config import ExchangeConfig, StartRefused
from app.fanout import Fanout
from app.feeder import Feeder
from app.feeds import Feed
from app.hub import EventHub
from app.limits import Limits
from app.lookup import OrderLookup
from app.market_view import MarketView
from app.metrics_core import CoreMetrics
from app.peers import Peers
from app.placement import Peer
from app.prune import Keep, Pruner
from app.publisher import Publisher
from app.recovery import Proven
from app.requests import (
    AmendOrder,
    CancelOrder,
    CancelOrders,
    Digest,
    OpenAccount,
    ReadDigest,
    Request,
    SetKill,
    SetLimits,
    Submit,
)
from app.ring import Signal
from app.router import LEAST_SECONDS, Router
from app.supervisor import Component, Hooks, Supervisor
from app.sweep import Report, over_accounts
from app.tables import rows
from app.tenure import NotHere, Place, Tenure

__all__ = ["Component", "Exchange", "StartRefused"]


class Standing(msgspec.Struct, frozen=True, kw_only=True):
    """A gateway's lease: its shards and their greatest epoch, the seconds it has left, and how many gateways live."""

    gateway: str
    shards: int
    epoch: int
    lease_seconds: float
    gateways: int


class Exchange:
    """One gateway's order path. Commands go to the gateway that owns the account, this one or another.

    Every command raises ExecutionUnavailable when it was not carried out; what may or may not have happened raises Unknown: the
    same command again tells.
    """

    def __init__(self, config: ExchangeConfig, feed: Feed | None, metrics: CoreMetrics) -> None:
        config = msgspec.structs.replace(config, incarnation=secrets.token_hex(8))
        name, timeout = config.session("reader"), config.lookup_timeout
        self.pool: Pool = make_pool(config.postgres_dsn, size=config.pool_size, timeout=timeout, name=name)
        self.directory = Directory(config)
        self.hub = EventHub(self.pool)
        self.peers = Peers(config.cluster_secret)
        self._config = config
        self._fanout = Fanout(
            self.hub,
            metrics,
            url=config.redis_url,
            timeout=config.redis_timeout,
            retry=config.redis_retry,
            owns=self.owns,
            heard=lambda: self.directory.live > 1,
        )
        self._publisher = Publisher(self.hub, self._fanout, metrics)
        self.markets: dict[str, MarketView] = self._publisher.markets
        self._lookup = OrderLookup(self.pool, config.lookup_timeout)
        hooks = Hooks(self._publisher.publish, self._renewed, self._taken, self._given)
        self._supervisor = Supervisor(config, feed.symbols if feed else (), metrics, self.directory, hooks)
        count = self._publisher.orders.open
        self._desk = Desk(self.pool, self._lookup, metrics, most=config.max_in_flight, count=count)
        self._router = Router(config.owner, self.directory, self.peers, metrics, self.here, self._supervisor.moved)
        self._pruner = Pruner(
            self.pool,
            Keep(config.log_keep_days, config.log_keep_events),
            owned=self.owned,
            held=lambda account: self._supervisor.current().held(account),
            metrics=metrics,
        )
        self._feeder = Feeder(feed, config.max_feed_in_flight, self._supervisor.next_tenure) if feed else None
        self._background: list[asyncio.Task[None]] = []
        self._feeding: asyncio.Task[None] | None = None
        self._draining = False

    @classmethod
    def create(cls, config: ExchangeConfig, feed: Feed | None, metrics: CoreMetrics) -> Exchange:
        """Nothing runs before `start`; call it on the event loop that will."""
        return cls(config, feed, metrics)

    async def open(self) -> None:
        """Connect, and look who owns what: from then on commands reach the other gateways. The schema is already migrated."""
        await self.pool.open(wait=False)
        work = (self._lookup, self.directory, self._fanout, self._pruner)
        self._background += [asyncio.create_task(one.run()) for one in work]

    async def start(self) -> None:
        """Join the gateways, recover what is this one's, start the feed; opens what is not open yet.

        Returns after the first attempt. When that failed in a way that may pass (database away), it goes on trying in the
        background and `components` says what is wrong. StartRefused is what only an operator can mend.
        """
        if not self._background:
            await self.open()
        await self._supervisor.start()
        if self._feeder is not None:
            self._feeding = asyncio.create_task(self._feeder.run())
            self._background.append(self._feeding)

    async def hand_over(self, timeout: float) -> bool:
        """Have the other gateways take the accounts, while commands go on; whether they all did in `timeout` seconds.

        False at once when there is no other.
        """
        await self._supervisor.membership.drain()
        await self.directory.looked(timeout)
        deadline = time.monotonic() + timeout
        while self.directory.others() and (left := deadline - time.monotonic()) > 0:
            tenure = self._supervisor.tenure
            if tenure is None or not tenure.epochs:
                return True
            await Signal.wait_any([self._supervisor.moved, self.directory.signal], left)
        return False

    async def drain(self, timeout: float) -> None:
        """Refuse new commands, finish those in flight within `timeout` seconds, write checkpoints, release the shards."""
        deadline = time.monotonic() + timeout
        if self._feeding is not None:
            self._feeding.cancel()
        self._draining = True
        await self._desk.finish(timeout)
        finishing = asyncio.create_task(self._supervisor.finish())
        await asyncio.wait({finishing}, timeout=max(0.0, deadline - time.monotonic()))
        finishing.cancel()

    async def close(self) -> None:
        """End everything; after `drain`, or without it for a quick end."""
        self._draining = True
        await self._supervisor.stop()
        await self._desk.close()
        self.directory.cut()
        for task in self._background:
            task.cancel()
        await asyncio.gather(*self._background, return_exceptions=True)
        await self.peers.close()
        await self.pool.close()

    @property
    def ready(self) -> bool:
        """Whether commands are taken now."""
        return self._supervisor.settled and not self._draining

    @property
    def broken(self) -> bool:
        """Whether a defect ended the order path for good: only a new process helps."""
        return self._supervisor.broken

    def retry(self) -> None:
        """Try to recover now instead of after the pause."""
        self._supervisor.retry()

    async def submit(self, order: NewOrder, *, key_id: str | None) -> Answer:
        """Carry an order out once for ever; the same order again gets its first answer.

        Raises Conflict (id taken by another order), RiskRejected, BadParams (the engine refuses it), NotFound (account).
        """
        answer: Answer = await self._run(Submit(order, key_id))
        return answer

    async def cancel(self, command: Cancel) -> Answer:
        """Cancel an open order. One already cancelled with the same reason is answered again.

        Raises NotFound (no such order), Conflict (closed otherwise; the message names its status).
        """
        answer: Answer = await self._run(CancelOrder(command))
        return answer

    async def amend(self, command: Amend) -> Answer:
        """Change an open order; what it already has is answered again.

        Raises NotFound, Conflict (closed), RiskRejected, BadParams.
        """
        answer: Answer = await self._run(AmendOrder(command))
        return answer

    async def cancel_all(self, command: CancelAll) -> list[Answer]:
        """Cancel the account's open orders, in rank order. NotFound (account), BadParams (symbol).

        Of many some may be cancelled when it fails; the same command again cancels the rest.
        """
        answers: list[Answer] = await self._run(CancelOrders(command))
        return answers

    async def open_account(self, account: str, balances: Mapping[str, int], limits: Limits) -> None:
        """Open an account with starting balances; Conflict when it exists."""
        await self._run(OpenAccount(account, dict(balances), limits))

    async def set_limits(self, account: str, changes: Mapping[str, int]) -> Limits:
        """Change limits durably, then in the engine; returns all of them. NotFound, BadParams."""
        limits: Limits = await self._run(SetLimits(account, dict(changes)))
        return limits

    async def set_kill(self, account: str, *, on: bool) -> None:
        """Turn the kill switch of an account; survives restarts. NotFound."""
        await self._run(SetKill(account, on))

    async def digest(self, account: str) -> Digest:
        """The account's state in its engine. NotFound."""
        digest: Digest = await self._run(ReadDigest(account))
        return digest

    async def limits(self, account: str) -> Limits:
        """The account's limits as committed; NotFound."""
        async with borrowed(self.pool) as connection:
            return await read_limits(connection, account)

    @property
    def killed(self) -> bool:
        """The global kill switch."""
        return self.directory.killed

    def owns(self, account: str) -> bool:
        """Whether the account is in service in this gateway's engine now."""
        tenure = self._supervisor.tenure
        return tenure is not None and tenure.place(account) is Place.HERE and account in tenure.limits

    def owned(self) -> list[str]:
        """The accounts in this gateway's engine, sorted."""
        tenure = self._supervisor.tenure
        return sorted(tenure.limits) if tenure else []

    def standing(self) -> Standing:
        """What this gateway has of the cluster now."""
        tenure = self._supervisor.tenure
        epochs = tenure.epochs.values() if tenure else ()
        return Standing(
            gateway=self._config.owner,
            shards=len(epochs),
            epoch=max(epochs, default=0),
            lease_seconds=self._supervisor.membership.seconds_left,
            gateways=self.directory.live,
        )

    async def ping(self) -> float:
        """Seconds of a round trip through this gateway's engine."""
        tenure, start = self._supervisor.current(), time.monotonic()
        await self._desk.ping(tenure, start + self._config.submit_timeout)
        return time.monotonic() - start

    def components(self) -> dict[str, Component]:
        """Health of engine, database, leases, market_data, recovery and clock."""
        return {**self._supervisor.components(), "market_data": self._market_data()}

    async def here(self, request: Request, deadline: float) -> Any:  # noqa: ANN401 - ANSWERS[type(request)]
        """Carry a request out in this gateway's engine, waiting for an account that is being recovered. NotHere."""
        while True:
            tenure = self._admitted(request.account)
            if tenure.place(request.account) is not Place.COMING:
                return await self._desk.carry_out(tenure, request, deadline)
            left = deadline - time.monotonic() - LEAST_SECONDS
            if left <= 0:
                raise ExecutionUnavailable(f"account {request.account} is being recovered")
            await Signal.wait_any([self._supervisor.moved], left)

    async def follow_kill_switch(self) -> list[str]:
        """Have the global kill switch as stored in this gateway's engine; returns the accounts that have it."""
        await self.directory.looked(self._config.submit_timeout)
        steward = self._supervisor.steward
        if steward is None:
            return []
        with self._desk.unknown_when_lost("the kill switch"):
            await steward.follow_kill_switch()
        return self.owned()

    async def set_global_kill(self, *, on: bool) -> list[Report]:
        """Turn the global kill switch, on every gateway; per account, whether its engine has it. Survives restarts."""
        async with borrowed(self.pool) as connection:
            await store_global_kill(connection, on=on)
        accounts = await self._every_account()  # what is opened from now on is opened in engines that follow
        deadline = time.monotonic() + self._config.submit_timeout
        asked = [self.peers.follow_kill_switch(peer, deadline) for peer in self._peers()]
        found = await asyncio.gather(self.follow_kill_switch(), *asked, return_exceptions=True)
        told = {name for names in found if isinstance(names, list) for name in names}
        late = "its gateway did not answer; it follows as soon as it reads the database, in a second at most"
        return [Report(name, name in told, "" if name in told else late) for name in accounts]

    async def cancel_everywhere(self, symbol: str | None) -> list[Report]:
        """Cancel the open orders of every account, whoever owns it; what became of each."""

        async def cancel(account: str) -> Report:
            answers = await self.cancel_all(CancelAll(account=account, symbol=symbol))
            return Report(account, ok=True, answers=answers)

        return await over_accounts(await self._every_account(), cancel)

    async def cancel_of_key(self, account: str, key_id: str | None, reason: str) -> int:
        """Cancel the account's open orders that the key placed; how many. Unknown. ExecutionUnavailable: not the owner."""
        try:
            return await self._desk.cancel_of_key(self._supervisor.current(), account, key_id, reason)
        except NotHere as error:
            raise ExecutionUnavailable(f"account {account} is not in service here") from error

    # Where a command goes.

    async def _run(self, request: Request) -> Any:  # noqa: ANN401 - ANSWERS[type(request)]
        return await self._router.run(request, time.monotonic() + self._config.submit_timeout)

    def _admitted(self, account: str) -> Tenure:
        """The tenure; NotHere when another gateway may have the account, ExecutionUnavailable when none can."""
        if self.directory.picture is None and self._config.advertise_url:
            raise NotHere(account)
        tenure = self._supervisor.tenure
        alone = not self.directory.others()
        if self._draining and alone:
            raise ExecutionUnavailable("this gateway is shutting down")
        if tenure is None and not alone:
            raise NotHere(account)
        return self._supervisor.current()

    def _peers(self) -> list[Peer]:
        picture = self.directory.picture
        return [peer for peer in picture.peers.values() if peer.owner != self._config.owner] if picture else []

    async def _every_account(self) -> list[str]:
        async with borrowed(self.pool) as connection:
            return [row[0] for row in await rows(connection, b"SELECT account FROM accounts ORDER BY account")]

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

    # What supervisor and steward call.

    async def _renewed(self) -> None:
        self._publisher.orders.forget()
        await heard(self.pool, self._config.recovery_timeout)  # health tells of the supervisor's connections alone

    def _taken(self, one: Proven) -> None:
        account = one.rows.account
        self.hub.resume({account: one.rows.head.seq})
        self._publisher.orders.took(
            account, [(row.order.client_order_id, row.order.status) for row in one.rows.open_orders]
        )

    def _given(self, accounts: Collection[str]) -> None:
        for account in accounts:
            self._publisher.orders.gave(account)
        self.hub.forget(accounts)
