"""The cluster as an admin sees it: gateways, leases, shards and epochs, from the database at this moment."""

from __future__ import annotations

from typing import Any

import msgspec

from app.operation import Call, Nothing
from app.paging import rows_of

_GATEWAYS = """
SELECT g.owner, g.url, l.owner IS NOT NULL, g.able, g.draining,
       greatest(0, extract(epoch FROM g.lease_until - clock_timestamp()))::float8,
       (SELECT count(*) FROM shards s WHERE s.owner = g.owner)
FROM gateways g LEFT JOIN live_gateways l USING (owner) ORDER BY g.owner COLLATE "C"
"""
_SHARDS = "SELECT shard, owner, epoch FROM shards ORDER BY shard"


class Gateway(msgspec.Struct, frozen=True):
    """`live`: its lease runs, its session is there, and it is `able`: its order path works. Lease in seconds."""

    owner: str
    url: str
    live: bool
    able: bool
    draining: bool
    lease_seconds: float
    shards: int


class Shard(msgspec.Struct, frozen=True):
    """`owner` null: nobody's now. The epoch rises with every claim."""

    shard: int
    owner: str | None
    epoch: int


class Cluster(msgspec.Struct, frozen=True, kw_only=True):
    """`gateway` is the one that answers."""

    gateway: str
    gateways: list[Gateway]
    shards: list[Shard]


async def overview(call: Call[Nothing, Any]) -> Cluster:
    pool = call.services.exchange.pool
    gateways = [Gateway(*row) for row in await rows_of(pool, _GATEWAYS, ())]
    shards = [Shard(*row) for row in await rows_of(pool, _SHARDS, ())]
    return Cluster(gateway=call.services.settings.gateway_id, gateways=gateways, shards=shards)
