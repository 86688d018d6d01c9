"""Who may write which accounts: shards and their epochs.

A claim raises the epoch of the shards it takes. Every append checks owner and epoch inside its transaction, so a gateway that
lost a shard cannot write, whatever it believes; and a claim waits for the appends of the one before it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping

from app.database import Connection

SHARDS = 256
FENCED = "VZ001"  # SQLSTATE of veloz_fence in schema/0001_core.sql
CHANGED = "veloz_cluster"  # the channel on which gateways tell each other that shards or gateways changed

_LOCK = b"SELECT 1 FROM shards WHERE shard = ANY(%s) ORDER BY shard FOR UPDATE"
# Of owners that are dead: one that was stopped in the middle of sending an append holds its shards for as long as it is.
_END_SESSIONS = b"""SELECT pg_terminate_backend(a.pid) FROM gateways g JOIN pg_stat_activity a
    ON a.datname = current_database() AND right(a.application_name, 16) = g.incarnation
WHERE g.owner IN (SELECT owner FROM shards WHERE shard = ANY(%s)) AND g.owner <> %s AND g.incarnation <> ''
    AND NOT EXISTS (SELECT FROM live_gateways l WHERE l.owner = g.owner)"""
_CLAIM = b"""UPDATE shards s SET owner = g.owner, epoch = s.epoch + 1 FROM gateways g
WHERE g.owner = %s AND g.incarnation = %s AND g.lease_until > clock_timestamp() AND s.shard = ANY(%s)
    AND (s.owner IS NULL OR s.owner = g.owner OR NOT EXISTS (SELECT FROM live_gateways l WHERE l.owner = s.owner))
RETURNING s.shard, s.epoch"""
_RELEASE = b"""UPDATE shards s SET owner = NULL FROM unnest(%s::smallint[], %s::bigint[]) AS held(shard, epoch)
WHERE s.shard = held.shard AND s.epoch = held.epoch AND s.owner = %s"""
_TELL = b"SELECT pg_notify(%s, '')"


class Fenced(Exception):
    """Another gateway owns the shards now."""


class LeaseHeld(Exception):
    """Another gateway lives with which this one cannot share; the message names it and says why."""


def shard_of(account: str) -> int:
    """The account's shard, the same on every gateway and for ever."""
    return hashlib.sha256(account.encode()).digest()[0]


async def claim(connection: Connection, owner: str, incarnation: str, shards: Iterable[int]) -> dict[int, int]:
    """Take those of the shards that no other living gateway has; returns shard → new epoch. Nothing without a lease of ours.

    Ends the sessions of dead owners, and waits for transactions that still hold the shards, up to the connection's lock_timeout.
    """
    wanted = sorted(shards)
    await connection.execute(_END_SESSIONS, (wanted, owner))
    async with connection.transaction():
        await connection.execute(_LOCK, (wanted,))
        cursor = await connection.execute(_CLAIM, (owner, incarnation, wanted))
        taken: dict[int, int] = dict(await cursor.fetchall())
        await tell(connection)
        return taken


async def release(connection: Connection, owner: str, epochs: Mapping[int, int]) -> None:
    """Give shards back that are still ours under these epochs; whose turn it is may claim them at once."""
    async with connection.transaction():
        await connection.execute(_RELEASE, (list(epochs), list(epochs.values()), owner))
        await tell(connection)


async def tell(connection: Connection) -> None:
    """Wake every gateway's directory."""
    await connection.execute(_TELL, (CHANGED,))
