"""Who is there and who owns what, as the database has it: read a few times a second, and at once when something changed."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Final

import psycopg

from app.database import Connection, connect, cut, cut_after
from app.exchange_config import ExchangeConfig
from app.fencing import CHANGED, shard_of
from app.placement import Holding, Peer, Picture
from app.ring import Signal
from app.tables import read_killed, rows

log = logging.getLogger(__name__)

READ_SECONDS: Final = 1.5

_PEERS = (
    b"""SELECT owner, url, draining, extract(epoch FROM lease_until - clock_timestamp())::float8 FROM live_gateways"""
)
_SHARDS = b"SELECT owner, array_agg(shard), array_agg(epoch) FROM shards GROUP BY owner"
_LISTEN = b"LISTEN " + CHANGED.encode()


class Directory:
    """`picture` is None before the first look. `signal` is woken by every change of it."""

    def __init__(self, config: ExchangeConfig) -> None:
        self.picture: Picture | None = None
        self.killed = False  # the global kill switch
        self.signal = Signal()
        self._config = config
        self._look = asyncio.Event()
        self._seen = Signal()
        self._looks = 0
        self._connection: Connection | None = None

    @property
    def live(self) -> int:
        """How many gateways live, as last seen; this one is one of them."""
        return max(1, len(self.picture.peers)) if self.picture else 1

    def others(self) -> list[Peer]:
        """The other gateways that live and stay; none for one that works alone."""
        if not self._config.advertise_url:
            return []
        peers = self.picture.peers.values() if self.picture else ()
        return [peer for peer in peers if peer.owner != self._config.owner and not peer.draining]

    def owner(self, account: str) -> tuple[Peer, int] | None:
        """The living owner of the account and its epoch; None while there is none."""
        if self.picture is None:
            return None
        shard = shard_of(account)
        peer = self.picture.owner(shard)
        return None if peer is None else (peer, self.picture.shards[shard].epoch)

    def look_again(self) -> None:
        """Look now."""
        self._look.set()

    async def looked(self, timeout: float) -> None:
        """Look, and return when that is done or `timeout` seconds are over."""
        before, deadline = self._looks, time.monotonic() + timeout
        self._look.set()
        # The first look that ends may have begun before.
        while self._looks < before + 2 and (left := deadline - time.monotonic()) > 0:
            self._look.set()
            await Signal.wait_any([self._seen], left)

    async def run(self) -> None:
        """Look until cancelled; while the database is away the last picture stands."""
        while True:
            try:
                await self._follow()
            except (psycopg.Error, OSError) as error:
                log.warning("who owns what is not known now: %s", error)
                await asyncio.sleep(self._config.watch_interval)

    def cut(self) -> None:
        """End what is being read, so that `run` can be cancelled without asking the server."""
        if self._connection is not None:
            cut(self._connection)

    async def _follow(self) -> None:
        dsn, name = self._config.postgres_dsn, self._config.session("directory")
        connection = await connect(dsn, statement_timeout=READ_SECONDS, name=name)
        self._connection = connection
        try:
            with cut_after(connection, READ_SECONDS):
                await connection.execute(_LISTEN)
            while True:
                with cut_after(connection, READ_SECONDS):
                    await self._read(connection)
                await self._pause(connection.fileno())
        finally:
            cut(connection)
            await connection.close()

    async def _read(self, connection: Connection) -> None:
        peers = {row[0]: Peer(*row) for row in await rows(connection, _PEERS)}
        shards = {
            shard: Holding(owner, epoch)
            for owner, numbers, epochs in await rows(connection, _SHARDS)
            for shard, epoch in zip(numbers, epochs, strict=True)
        }
        self.killed = await read_killed(connection)
        self.picture = Picture(peers, shards)
        self._looks += 1
        self._seen.wake()
        self.signal.wake()

    async def _pause(self, descriptor: int) -> None:
        """Until the next look is due or asked for, or the server tells of a change: the connection has something to read."""
        loop = asyncio.get_running_loop()
        loop.add_reader(descriptor, self._look.set)
        try:
            async with asyncio.timeout(self._config.watch_interval):
                await self._look.wait()
        except TimeoutError:
            return
        finally:
            loop.remove_reader(descriptor)
            self._look.clear()
