"""Who owns which accounts: leases, shards, epochs.

A claim raises the epoch of the shards it takes. Every append checks owner and epoch inside its transaction, so a gateway that
lost a shard cannot write, whatever it believes; and a claim waits for the appends of the one before it.
"""

from __future__ import annotations

import hashlib
import time

import msgspec

from app.database import Connection

SHARDS = 256
FENCED = "VZ001"  # SQLSTATE of veloz_fence in schema/0001_core.sql


class Fenced(Exception):
    """Another gateway owns the shards now."""


class LeaseHeld(Exception):
    """Another live gateway owns shards; the message names it."""


class Claim(msgspec.Struct, frozen=True):
    """What this gateway owns: shard → epoch."""

    owner: str
    epochs: dict[int, int]


class Renewal(msgspec.Struct, frozen=True):
    """What a renewal showed: how far our clock is ahead of the database's, in seconds, and the round trip."""

    clock_offset: float
    round_trip: float


def shard_of(account: str) -> int:
    """The account's shard, the same on every gateway and for ever."""
    return hashlib.sha256(account.encode()).digest()[0]


async def claim(connection: Connection, owner: str, ttl: float) -> Claim:
    """Take all shards and a lease of `ttl` seconds. LeaseHeld while another gateway's lease on one of them runs.

    Waits for transactions that still hold the shards, up to the connection's lock_timeout.
    """
    async with connection.transaction():
        await _lease(connection, owner, ttl)
        cursor = await connection.execute("SELECT 1 FROM shards ORDER BY shard FOR UPDATE")
        await cursor.fetchall()
        cursor = await connection.execute(
            "SELECT g.owner, extract(epoch FROM max(g.lease_until) - clock_timestamp())::float8 "
            "FROM shards s JOIN gateways g ON g.owner = s.owner "
            "WHERE s.owner <> %s AND g.lease_until > clock_timestamp() GROUP BY g.owner",
            (owner,),
        )
        if held := await cursor.fetchone():
            raise LeaseHeld(f"{held[0]} owns the accounts for another {held[1]:.1f} s; one gateway a database")
        cursor = await connection.execute(
            "UPDATE shards SET owner = %s, epoch = epoch + 1 RETURNING shard, epoch", (owner,)
        )
        return Claim(owner, dict(await cursor.fetchall()))


async def renew(connection: Connection, held: Claim, ttl: float) -> Renewal:
    """Extend the lease. Fenced when the shards are another's; psycopg.Error when the database does not answer."""
    start, wall = time.monotonic(), time.time()
    database = await _lease(connection, held.owner, ttl)
    taken = time.monotonic() - start
    cursor = await connection.execute("SELECT count(*), sum(epoch) FROM shards WHERE owner = %s", (held.owner,))
    if await cursor.fetchone() != (len(held.epochs), sum(held.epochs.values())):
        raise Fenced(f"another gateway claimed the shards of {held.owner}")
    return Renewal(clock_offset=wall + taken / 2 - database, round_trip=taken)


async def release(connection: Connection, owner: str) -> None:
    """End the lease, so that another gateway may claim at once."""
    await connection.execute("UPDATE gateways SET lease_until = clock_timestamp() WHERE owner = %s", (owner,))


async def _lease(connection: Connection, owner: str, ttl: float) -> float:
    cursor = await connection.execute(
        "INSERT INTO gateways (owner, lease_until) VALUES (%s, clock_timestamp() + make_interval(secs => %s)) "
        "ON CONFLICT (owner) DO UPDATE SET lease_until = excluded.lease_until "
        "RETURNING extract(epoch FROM clock_timestamp())::float8",
        (owner, ttl),
    )
    row = await cursor.fetchone()
    return float(row[0]) if row else 0.0
