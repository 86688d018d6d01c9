"""The gateway among the others: its row, its lease, and the session whose lock says that the process lives.

The lease is the process's, not the engine's: an engine that is killed and started again keeps its shards. While no engine runs
for longer than a lease lasts, the row says that the gateway is not able, and its shards go to the others.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import time
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import msgspec
import psycopg

from app.database import Connection, confirmed, connect, cut, cut_after
from app.exchange_config import ExchangeConfig
from app.fencing import Fenced, LeaseHeld, tell
from app.ring import Signal

log = logging.getLogger(__name__)

KEEPER_LOCK = 1447382048  # the first half of the keepers' locks, as in live_gateways (schema/0002_cluster.sql)
PATIENCE = 5.0
_LOCK_TRIES = 50

_JOIN = b"""INSERT INTO gateways AS g (owner, lease_until, url, credential, incarnation, able)
VALUES (%(owner)s, clock_timestamp(), %(url)s, %(credential)s, %(incarnation)s, false)
ON CONFLICT (owner) DO UPDATE SET url = excluded.url, credential = excluded.credential, able = false,
    incarnation = excluded.incarnation, draining = false, joined_at = now()
WHERE %(new)s OR g.incarnation = excluded.incarnation
    OR NOT EXISTS (SELECT FROM live_gateways l WHERE l.owner = g.owner) RETURNING id"""
# Of a process of this name that was killed or is to be replaced: one of its sessions may hold shards.
_REPLACE = b"""SELECT pg_terminate_backend(a.pid) FROM gateways g JOIN pg_stat_activity a
    ON a.datname = current_database() AND right(a.application_name, 16) = g.incarnation
WHERE g.owner = %s AND g.incarnation NOT IN ('', %s) AND %s"""
_STRANGERS = b"""SELECT l.owner, l.url, g.credential FROM gateways me, live_gateways l JOIN gateways g USING (owner)
WHERE me.owner = %s AND l.owner <> me.owner AND g.joined_at < me.joined_at
    AND (l.url = '' OR me.url = '' OR g.credential <> me.credential) LIMIT 1"""
_LOCK = b"SELECT pg_try_advisory_lock(%s, %s)"
_EVICT = b"""SELECT pg_terminate_backend(pid) FROM pg_locks WHERE locktype = 'advisory' AND granted
AND classid = %s AND objid = %s::oid AND objsubid = 2
AND database = (SELECT oid FROM pg_database WHERE datname = current_database())"""
_RENEW = b"""UPDATE gateways SET able = %s, draining = %s, lease_until = clock_timestamp() + make_interval(secs => %s)
WHERE owner = %s AND incarnation = %s RETURNING extract(epoch FROM clock_timestamp())::float8"""
_LEAVE = b"UPDATE gateways SET able = false, lease_until = clock_timestamp() WHERE owner = %s AND incarnation = %s"
_FORGET = b"""DELETE FROM gateways g WHERE lease_until < now() - interval '1 hour'
AND NOT EXISTS (SELECT FROM shards s WHERE s.owner = g.owner)"""


class Renewal(msgspec.Struct, frozen=True):
    """What a renewal showed: how far our clock is ahead of the database's, in seconds, and the round trip."""

    clock_offset: float
    round_trip: float


class Membership:
    """Joins, renews and leaves. `able` is asked at every renewal; `fault` says why the gateway is no member.

    `at_joining` is called each time it became one.
    """

    def __init__(self, config: ExchangeConfig, able: Callable[[], bool], at_joining: Callable[[], None]) -> None:
        self.fault: Exception | None = None
        self.renewal: Renewal | None = None
        self._config = config
        self._able = able
        self._at_joining = at_joining
        self._credential = hashlib.sha256(b"veloz cluster " + config.cluster_secret.encode()).hexdigest()[:16]
        self._draining = False
        self._told = (False, False)
        self._new = True  # not yet a member in this process's life: then it takes the place of one of the same name
        self._until = 0.0
        self._keeper: Connection | None = None
        self._member = asyncio.Event()
        self._lost: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._changed = Signal()
        self._due = asyncio.Event()
        self._renewed = asyncio.Event()

    @property
    def owner(self) -> str:
        return self._config.owner

    @property
    def seconds_left(self) -> float:
        """Until the lease runs out; 0 without one."""
        return max(0.0, self._until - time.monotonic()) if self._member.is_set() else 0.0

    async def joined(self, timeout: float) -> None:
        """Return as a member. Raises what keeps it from being one, or TimeoutError after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        while not self._member.is_set():
            if self.fault is not None:
                raise self.fault
            if (left := deadline - time.monotonic()) <= 0:
                raise TimeoutError("the database does not answer")
            await Signal.wait_any([self._changed], left)

    async def until_lost(self) -> None:
        """Raise what ended the membership, when it ends."""
        await asyncio.shield(self._lost)

    async def renew(self) -> None:
        """Renew now, and return when that is done; at once when there is no membership."""
        if not self._member.is_set():
            return
        self._renewed.clear()
        self._due.set()
        renewed = asyncio.ensure_future(self._renewed.wait())
        waiting: set[asyncio.Future[Any]] = {renewed, self._lost}
        await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
        renewed.cancel()

    async def drain(self) -> None:
        """Tell the others that this gateway is leaving."""
        self._draining = True
        await self.renew()

    async def leave(self) -> None:
        """End the lease, so that the others need not wait for it to run out."""
        keeper = self._keeper
        if keeper is None or not self._member.is_set():
            return
        self._member.clear()
        with suppress(psycopg.Error), cut_after(keeper, 1.0):
            await keeper.execute(_LEAVE, (self.owner, self._config.incarnation))
            await tell(keeper)

    def cut(self) -> None:
        """End what the keeper waits for, so that `run` can be cancelled without asking the server."""
        if self._keeper is not None:
            cut(self._keeper)

    async def run(self) -> None:
        """Be a member until cancelled; join again whenever the membership ended."""
        delay = self._config.retry_least
        while True:
            try:
                await self._be_a_member()
            except (psycopg.Error, OSError, Fenced, LeaseHeld) as error:
                self._end(error)
                log.warning("not a member of the cluster: %s", error)
            finally:
                await self._close()
            joined, delay = self._lost.done(), min(2 * delay, self._config.lease_interval)
            if joined:
                delay = self._config.retry_least
                self._lost = asyncio.get_running_loop().create_future()
            await asyncio.sleep(delay)

    async def _be_a_member(self) -> None:
        config = self._config
        keeper = self._keeper = await connect(
            config.postgres_dsn, statement_timeout=PATIENCE, name=config.session("keeper")
        )
        with cut_after(keeper, PATIENCE), confirmed(keeper):
            await self._join(keeper)
        self._new = False
        while True:
            with cut_after(keeper, config.lease_ttl - config.lease_interval):
                await self._extend(keeper)
            self._extended()
            with suppress(TimeoutError):
                async with asyncio.timeout(config.lease_interval):
                    await self._due.wait()
            self._due.clear()

    async def _join(self, keeper: Connection) -> None:
        config = self._config
        await keeper.execute(_REPLACE, (config.owner, config.incarnation, self._new))
        values = {"owner": config.owner, "url": config.advertise_url, "credential": self._credential}
        cursor = await keeper.execute(_JOIN, {**values, "incarnation": self._config.incarnation, "new": self._new})
        row = await cursor.fetchone()
        if row is None:
            raise Fenced(f"another process is named {config.owner}; give each gateway a name of its own")
        for _ in range(_LOCK_TRIES):
            got = await (await keeper.execute(_LOCK, (KEEPER_LOCK, row[0]))).fetchone()
            if got and got[0]:
                break
            # What holds it is a session of this name whose process was killed, was cut off, or is to be replaced.
            await keeper.execute(_EVICT, (KEEPER_LOCK, row[0]))
            await asyncio.sleep(PATIENCE / _LOCK_TRIES / 2)
        else:
            raise Fenced(f"the session of an earlier {config.owner} does not end")
        await keeper.execute(_FORGET)
        await self._look_at_others(keeper)

    async def _look_at_others(self, keeper: Connection) -> None:
        """LeaseHeld when there is one that came earlier and with which this gateway cannot share."""
        cursor = await keeper.execute(_STRANGERS, (self.owner,))
        if (found := await cursor.fetchone()) is None:
            return
        owner, url, credential = found
        if not url or not self._config.advertise_url:
            raise LeaseHeld(
                f"{owner} owns the accounts; gateways that share a database all need VELOZ_ADVERTISE_URL "
                "and VELOZ_CLUSTER_SECRET"
            )
        if credential != self._credential:
            raise LeaseHeld(f"{owner} was given another VELOZ_CLUSTER_SECRET; give all gateways the same")

    async def _extend(self, keeper: Connection) -> None:
        config, start, wall = self._config, time.monotonic(), time.time()
        states = (self._able(), self._draining)
        cursor = await keeper.execute(_RENEW, (*states, config.lease_ttl, self.owner, self._config.incarnation))
        row = await cursor.fetchone()
        if row is None:
            raise Fenced(f"another process is named {self.owner}; give each gateway a name of its own")
        taken = time.monotonic() - start
        self.renewal = Renewal(clock_offset=wall + taken / 2 - float(row[0]), round_trip=taken)
        self._until = start + config.lease_ttl
        if states != self._told:
            self._told = states
            await self._look_at_others(keeper)
            await tell(keeper)

    def _extended(self) -> None:
        self.fault = None
        self._renewed.set()
        if not self._member.is_set():
            self._member.set()
            self._changed.wake()
            self._at_joining()

    def _end(self, error: Exception) -> None:
        self.fault = error
        self._changed.wake()
        if self._member.is_set():
            self._member.clear()
            self._lost.set_exception(error)
            self._lost.exception()  # retrieved: perhaps nobody waits
        self._told = (False, False)

    async def _close(self) -> None:
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            cut(keeper)
            await keeper.close()
