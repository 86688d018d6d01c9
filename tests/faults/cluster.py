"""Several real gateways on one database and one Valkey of their own, behind a real balancer."""

from __future__ import annotations

import asyncio
import secrets
from collections.abc import Mapping
from pathlib import Path
from typing import Self

import msgspec
from psycopg.conninfo import conninfo_to_dict

from app.placement import targets
from stacks.balancer import Kind
from tests.faults.balancer import Balancer
from tests.faults.gateway import Gateway, environment, free_port
from tests.faults.proxy import Proxy
from tests.faults.system import BALANCES, System
from tests.faults.valkey import Valkey
from tests.faults.waiting import until

READY_SECONDS = 30


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """What a cluster consists of. Proxies: before the gateways (`tapped`: what the balancer sent them is kept), between them,
    to Valkey, and from the first gateway to PostgreSQL.
    """

    gateways: int = 3
    balancer: Kind | None = "nginx"
    tapped: bool = False
    peers_proxied: bool = False
    valkey_proxied: bool = False
    database_proxied: bool = False
    durations: Mapping[str, float] = {}  # what gateways and balancer have in common, in seconds
    changes: Mapping[str, str] = {}


class Cluster(System):
    """Made and entered outside of any event loop or on one; the gateways are started with `start`."""

    def __init__(self, directory: Path, database: str, engine: Path, shape: Shape | None = None) -> None:
        self.directory = directory
        self.database = database
        self.shape = shape or Shape()
        self.valkey = Valkey(directory)
        self.gateways: list[Gateway] = []
        self.peers: list[Proxy] = []  # in the gateways' order: what others reach each by
        self.taps: list[Path] = []
        self.to_valkey: Proxy | None = None
        self.to_database: Proxy | None = None
        self.balancer: Balancer | None = None
        self._doors: list[Proxy] = []
        self._environ = environment(database, self.valkey.url, engine) | {
            "VELOZ_CLUSTER_SECRET": secrets.token_hex(32),
            "VELOZ_POSTGRES_POOL_MAX": "6",  # four gateways on 50 connections
            "VELOZ_PAPER_BALANCES": ",".join(f"{asset}={amount}" for asset, amount in BALANCES.items()),
            "VELOZ_TRUSTED_PROXIES": "127.0.0.1",
            **{f"VELOZ_{name.upper()}": str(value) for name, value in self.shape.durations.items()},
            **self.shape.changes,
        }

    def __enter__(self) -> Self:
        try:
            self.valkey.start()
            if self.shape.valkey_proxied:
                self.to_valkey = Proxy(f"127.0.0.1:{self.valkey.port}", free_port())
                self._environ["VELOZ_REDIS_URL"] = f"redis://127.0.0.1:{self.to_valkey.port}/0"
            for _ in range(self.shape.gateways):
                self.add_gateway()
            if self.shape.balancer:
                doors = [self._door(gateway) for gateway in self.gateways]
                self.balancer = Balancer(self.shape.balancer, self.directory, doors, self.shape.durations)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.rest()
        if self.balancer is not None:
            self.balancer.stop()
        for proxy in (*self.peers, *self._doors, self.to_valkey, self.to_database):
            if proxy is not None:
                proxy.__exit__(None, None, None)
        self.valkey.stop()

    def rest(self) -> None:
        """Kill all gateways; `start` starts them again."""
        for gateway in self.gateways:
            gateway.end()

    def add_gateway(self) -> Gateway:
        """One more, not started."""
        number = len(self.gateways)
        directory = self.directory / f"gateway-{number}"
        directory.mkdir()
        port = free_port()
        environ = self._environ | {"VELOZ_GATEWAY_ID": f"gateway-{number}"}
        if self.shape.peers_proxied:
            self.peers.append(Proxy(f"127.0.0.1:{port}", free_port()))
            environ["VELOZ_ADVERTISE_URL"] = f"http://127.0.0.1:{self.peers[-1].port}"
        else:
            environ["VELOZ_ADVERTISE_URL"] = f"http://127.0.0.1:{port}"
        if self.shape.database_proxied and number == 0:
            self.to_database, environ["VELOZ_POSTGRES_DSN"] = proxied(self.database)
        self.gateways.append(Gateway(directory, environ, port=port))
        return self.gateways[-1]

    def _door(self, gateway: Gateway) -> int:
        """The port by which the balancer reaches it."""
        if not self.shape.tapped:
            return gateway.port
        self.taps.append(self.directory / f"{gateway.owner}.tap")
        self._doors.append(Proxy(f"127.0.0.1:{gateway.port}", free_port(), self.taps[-1]))
        return self._doors[-1].port

    async def start(self) -> None:
        """Start those that do not run and wait until all are ready and every shard has its owner."""
        for gateway in self.gateways:
            if not gateway.alive:
                gateway.start()
        await self.settled()

    async def settled(self, seconds: float = READY_SECONDS) -> None:
        """Wait until all running gateways are ready and own their shares."""
        await asyncio.gather(*(gateway.ready(seconds) for gateway in self.gateways if gateway.alive))
        await until(self._all_ready, seconds=seconds, every=0.1)
        await self.shared(seconds)

    async def shared(self, seconds: float = READY_SECONDS) -> None:
        """Wait until every shard is where it is to be, whether or not its gateway is ready."""
        goal = targets(gateway.owner for gateway in self.gateways if gateway.alive)

        async def placed() -> bool:
            return {shard: owner for shard, (owner, _) in self.shards().items()} == goal

        await until(placed, seconds=seconds, every=0.1)

    async def _all_ready(self) -> bool:
        answers = await asyncio.gather(*(gateway.health() for gateway in self.gateways if gateway.alive))
        return all(status == 200 for status, _ in answers)

    @property
    def url(self) -> str:
        """The balancer's, or the first gateway's without one."""
        return self.balancer.url if self.balancer else self.gateways[0].url

    @property
    def headers(self) -> dict[str, str]:
        """An admin's."""
        return self.gateways[0].headers

    def urls(self) -> list[str]:
        return [gateway.url for gateway in self.gateways]

    async def owner_of(self, account: str) -> Gateway | None:
        """The gateway that owns the account, by the word of any that answers; None while nobody does."""
        shard = (await self.shard_of([account]))[account]
        overview = await self.ask("GET", "/api/cluster")
        owner = next(one["owner"] for one in overview["shards"] if one["shard"] == shard)
        return next((gateway for gateway in self.gateways if gateway.owner == owner), None)


def proxied(dsn: str) -> tuple[Proxy, str]:
    """A proxy to the Unix socket that the DSN names, and the DSN by way of it."""
    parts = conninfo_to_dict(dsn)
    proxy = Proxy(f"{parts['host']}/.s.PGSQL.5432", free_port())
    return proxy, f"postgresql://{parts['user']}@127.0.0.1:{proxy.port}/{parts['dbname']}?sslmode=disable"
