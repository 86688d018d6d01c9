"""Carries shards into a tenure's engine and out of it, as the directory shows whose turn it is.

In: claim, prove, restore, compare. Out: nothing more is admitted, what is under way is finished, the engine forgets the accounts,
all that they did is committed, the shards are given back. So an account is never in two engines that could both write it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Collection
from collections.abc import Set as AbstractSet
from typing import Final

from app.accounts import open_account
from app.checkpoint import write_checkpoint
from app.database import Connection, cut_after
from app.directory import Directory
from app.engine import Batch
from app.fencing import SHARDS, Fenced, claim, release, shard_of
from app.limits import Limits
from app.metrics_core import CoreMetrics
from app.open_orders import cancel_everything
from app.placement import Picture, plan
from app.recovery import Proven, difference_of, prove, restore_lines, write_checkpoints
from app.ring import Signal
from app.tenure import Place, Tenure
from app.wire import DURABLE, kill_line

log = logging.getLogger(__name__)

MAIN: Final = "main"
CLAIM_PATIENCE: Final = 5.0  # seconds: longer than the transaction of a lost connection can hold its shards


class Steward:
    """`run` for as long as the tenure lasts. `taken` is told of every account that came, `given` of those that went."""

    def __init__(
        self,
        tenure: Tenure,
        directory: Directory,
        metrics: CoreMetrics,
        taken: Callable[[Proven], None],
        given: Callable[[Collection[str]], None],
        moved: Signal,
    ) -> None:
        self.signal = moved  # woken when a shard came or went
        self._tenure = tenure
        self._directory = directory
        self._metrics = metrics
        self._taken = taken
        self._given = given
        self._connection: Connection
        self._turn = asyncio.Lock()  # one use of the connection at a time
        self._look_at_faults = 0.0
        self._retry = False

    async def open(self) -> None:
        self._connection = await self._tenure.connect("steward", self._tenure.config.recovery_timeout)

    async def run(self) -> None:
        """Do what is to be done until cancelled. Fenced, RecoveryMismatch, EngineLost, psycopg.Error."""
        while True:
            await self.step()
            await Signal.wait_any([self._directory.signal], self._tenure.config.lease_interval)

    async def step(self) -> None:
        """What is to be done now."""
        async with self._turn:
            await self._step()

    async def _step(self) -> None:
        picture, tenure = self._directory.picture, self._tenure
        if picture is None:
            return
        self._check(picture)
        todo = plan(picture, tenure.config.owner, frozenset(tenure.epochs))
        if todo.release:
            epochs = {shard: picture.shards[shard].epoch for shard in todo.release}
            await self._hand_over(epochs)
        if todo.claim:
            await self._take_up(todo.claim)
        if tenure.config.owner in picture.peers and not todo.claim - tenure.epochs.keys():
            tenure.settled = True
        if tenure.faults and (self._retry or time.monotonic() >= self._look_at_faults):
            await self._try_again()
        await self.follow_kill_switch()

    def retry(self) -> None:
        """Look at the accounts that were not taken up again at the next step."""
        self._retry = True
        self._directory.look_again()

    async def follow_kill_switch(self) -> None:
        """Have the global kill switch in the engine as the directory last saw it."""
        on = self._directory.killed
        if self._tenure.killed is not on:
            self._tenure.killed = on
            await self._tenure.request([f"{kill_line(on=on)} ts={time.time_ns()}"])

    def _check(self, picture: Picture) -> None:
        """Fenced when one of ours was claimed by another. A picture may be older than our own last claim."""
        for shard, epoch in self._tenure.epochs.items():
            seen = picture.shards[shard]
            if seen.epoch > epoch:
                raise Fenced(f"{seen.owner or 'another gateway'} claimed shard {shard} of {self._tenure.config.owner}")

    async def _take_up(self, shards: AbstractSet[int]) -> None:
        """Claim, and put the accounts into the engine."""
        tenure, started = self._tenure, time.monotonic()
        # Before the claim: once it is committed others send commands here, sooner than this gateway hears of its commit.
        coming = shards - tenure.places.keys()
        tenure.places.update(dict.fromkeys(coming, Place.COMING))
        with cut_after(self._connection, CLAIM_PATIENCE):
            epochs = await claim(self._connection, tenure.config.owner, tenure.config.incarnation, shards)
        for shard in coming - epochs.keys():
            del tenure.places[shard]
        self.signal.wake()
        if not epochs:
            return
        tenure.epochs.update(epochs)
        await self._recover(list(epochs))
        if shard_of(MAIN) in epochs and MAIN not in tenure.limits and MAIN not in tenure.faults:
            await open_account(tenure, MAIN, tenure.config.paper_balances, Limits())
        tenure.places.update(dict.fromkeys(epochs, Place.HERE))
        self.signal.wake()
        self._metrics.recovery_seconds.observe(time.monotonic() - started)
        self._metrics.handovers.labels("in").inc(len(epochs))
        log.info("%d shards taken up, %d accounts here", len(epochs), len(tenure.limits))

    async def _hand_over(self, epochs: dict[int, int]) -> None:
        """Give these shards back; those that are not in the engine too."""
        tenure = self._tenure
        epochs = {shard: tenure.epochs.get(shard, epoch) for shard, epoch in epochs.items()}
        here = {shard for shard in epochs if shard in tenure.places}
        tenure.places.update(dict.fromkeys(here, Place.GOING))
        self.signal.wake()
        await tenure.quiet(here)
        going = [account for account in tenure.log.heads if shard_of(account) in here]
        if going:  # committed when this is: everything that came before it
            await tenure.request([f"FORGET {account} ts={time.time_ns()}" for account in going])
        for account in going:
            del tenure.log.heads[account], tenure.limits[account]
        for account in [account for account in tenure.faults if shard_of(account) in here]:
            del tenure.faults[account]
        for shard in here:
            del tenure.places[shard], tenure.epochs[shard]
        with cut_after(self._connection, CLAIM_PATIENCE):
            await release(self._connection, tenure.config.owner, epochs)
        self._given(going)
        self.signal.wake()
        self._metrics.handovers.labels("out").inc(len(epochs))
        log.info("%d shards handed over, %d accounts here", len(epochs), len(tenure.limits))

    async def leave(self) -> None:
        """The end of an orderly stop: leave checkpoints behind, give everything back."""
        async with self._turn:
            await self._leave()

    async def _leave(self) -> None:
        tenure = self._tenure
        if tenure.config.cancel_at_end:
            await self._cancel_if_last()
        here = [shard for shard, place in tenure.places.items() if place is Place.HERE]
        with cut_after(self._connection, tenure.config.recovery_timeout):
            await write_checkpoints(self._connection, here, least=1, without=tenure.faults.keys())
        await self._hand_over(dict(tenure.epochs))

    async def _cancel_if_last(self) -> None:
        """Cancel every open order when no gateway stays that could.

        What is nobody's is taken up first: another that leaves too may have given it back in the belief that this one stays. Of
        two that leave at once, each does so after its own last release, so one of them comes last.
        """
        tenure = self._tenure
        await self._directory.looked(tenure.config.lease_interval)
        if self._directory.others():
            return
        await self._take_up(set(range(SHARDS)) - tenure.epochs.keys())
        await cancel_everything(tenure, self._connection, "SHUTDOWN")

    async def _recover(self, shards: list[int], only: Collection[str] | None = None) -> None:
        config = self._tenure.config
        with cut_after(self._connection, config.recovery_timeout):
            proven, faults = await prove(self._connection, shards, from_start=config.verify_from_start, only=only)
        for account, difference in faults.items():
            self._refuse(account, difference)
        await asyncio.gather(*map(self._restore, proven))
        for one in proven:
            if one.replay.length > config.checkpoint_events:
                await write_checkpoint(self._connection, one.replay.end)

    async def _restore(self, one: Proven) -> None:
        """Fill the engine. What is decided here is decided before the engine's next event is looked at."""
        tenure, account, digest = self._tenure, one.rows.account, one.replay.end.state.digest()

        def decided(batch: Batch) -> None:
            if difference := difference_of(batch, digest):
                tenure.log.ignored.add(account)
                tenure.engine.send([f"FORGET {account} ts=0"], lambda _: tenure.log.ignored.discard(account))
                self._refuse(account, difference)
                return
            tenure.faults.pop(account, None)
            tenure.log.heads[account] = one.rows.head
            tenure.limits[account] = one.rows.limits
            self._taken(one)
            if any(event.type in DURABLE for event in batch.events):  # orders that expired while nobody had the account
                tenure.log.append(batch.events, lambda _: None)

        await tenure.engine.ask(restore_lines(one.rows), tenure.config.recovery_timeout, decided)

    def _refuse(self, account: str, difference: str) -> None:
        if self._tenure.faults.get(account) != difference:
            log.error("account %s is not taken up: %s", account, difference)
        self._tenure.faults[account] = difference
        self._metrics.recovery_mismatches.inc()
        self._look_at_faults = time.monotonic() + self._tenure.config.retry_most

    async def _try_again(self) -> None:
        """Somebody may have mended what differed."""
        tenure, self._retry = self._tenure, False
        self._look_at_faults = time.monotonic() + tenure.config.retry_most
        names = list(tenure.faults)
        await self._recover(sorted({shard_of(name) for name in names}), only=names)
        self.signal.wake()
