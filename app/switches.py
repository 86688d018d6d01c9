"""Dead man's switches as PostgreSQL keeps them: one a key and kind, by the database's clock, so that they outlive any gateway."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final, Literal, TypeAlias

import msgspec
from psycopg.errors import ForeignKeyViolation

from app import audit
from app.borrow import borrowed
from app.database import Pool, confirmed
from app.errors import NotFound

Kind: TypeAlias = Literal["timer", "stream"]

KINDS: Final[tuple[Kind, ...]] = ("timer", "stream")

_ARM: Final = b"""INSERT INTO switches (key_id, kind, account, timeout, expires_at)
VALUES (%(key_id)s, %(kind)s, %(account)s, %(timeout)s, clock_timestamp() + %(timeout)s)
ON CONFLICT (key_id, kind) DO UPDATE SET account = excluded.account, timeout = excluded.timeout,
    expires_at = excluded.expires_at, fired_at = NULL
RETURNING (extract(epoch FROM expires_at) * 1000000000)::bigint"""
# Locked in one order, because two gateways may hold streams of the same keys. What was disarmed stays so: its row is gone.
_REFRESH: Final = b"""WITH held AS (
    SELECT s.key_id, r.timeout FROM switches s
    JOIN unnest(%s::text[], %s::interval[]) AS r(key_id, timeout) ON s.key_id = r.key_id AND s.kind = 'stream'
    ORDER BY s.key_id FOR NO KEY UPDATE OF s)
UPDATE switches s SET timeout = held.timeout, expires_at = clock_timestamp() + held.timeout + %s, fired_at = NULL
FROM held WHERE s.key_id = held.key_id AND s.kind = 'stream'"""
_DISARM: Final = b"DELETE FROM switches WHERE key_id = %s AND kind = ANY(%s)"
_STATES: Final = b"""SELECT kind, fired_at IS NULL, trim_scale(extract(epoch FROM timeout))::text,
    CASE WHEN fired_at IS NULL THEN greatest(0, extract(epoch FROM expires_at - clock_timestamp()))::text END,
    (extract(epoch FROM fired_at) * 1000000000)::bigint
FROM switches WHERE key_id = %s"""
_DUE: Final = b"""SELECT key_id, kind, account, expires_at FROM switches
WHERE fired_at IS NULL AND expires_at <= clock_timestamp() ORDER BY expires_at"""
_FIRED: Final = b"""UPDATE switches SET fired_at = clock_timestamp()
WHERE key_id = %s AND kind = %s AND expires_at = %s AND fired_at IS NULL"""


class Due(msgspec.Struct, frozen=True):
    """A switch whose time is up; `key_id` is empty where authentication is off."""

    key_id: str
    kind: Kind
    account: str
    expires_at: datetime


class State(msgspec.Struct, frozen=True):
    """A switch that was set; seconds as decimal texts, `expires_in` None and `fired_at` (Unix ns) given once it fired."""

    kind: Kind
    armed: bool
    timeout: str
    expires_in: str | None
    fired_at: int | None


class Switches:
    """The table. Every method raises one of DATABASE_AWAY."""

    def __init__(self, pool: Callable[[], Pool]) -> None:
        self._pool = pool

    async def arm(self, key_id: str, kind: Kind, account: str, timeout: timedelta) -> int:
        """Arm, refresh or arm again after it fired; when it is due, in Unix nanoseconds. NotFound: no such account."""
        values = {"key_id": key_id, "kind": kind, "account": account, "timeout": timeout}
        try:
            async with borrowed(self._pool()) as connection:
                with confirmed(connection):
                    row = await (await connection.execute(_ARM, values)).fetchone()
        except ForeignKeyViolation as error:
            raise NotFound(f"there is no account {account!r}") from error
        if row is None:
            raise RuntimeError("INSERT … RETURNING gave no row")
        return int(row[0])

    async def refresh(self, timeouts: Mapping[str, timedelta], more: timedelta) -> None:
        """Put off the `stream` switches of these keys, each by its time and `more`; one that fired is armed again."""
        async with borrowed(self._pool()) as connection:
            await connection.execute(_REFRESH, (list(timeouts), list(timeouts.values()), more))

    async def disarm(self, key_id: str, kinds: Sequence[Kind]) -> None:
        async with borrowed(self._pool()) as connection:
            await connection.execute(_DISARM, (key_id, list(kinds)))

    async def of_key(self, key_id: str) -> dict[str, State]:
        """By kind, those that were set."""
        async with borrowed(self._pool()) as connection:
            rows: list[tuple[Any, ...]] = await (await connection.execute(_STATES, (key_id,))).fetchall()
        return {row[0]: State(*row) for row in rows}

    async def due(self) -> list[Due]:
        async with borrowed(self._pool()) as connection:
            rows: list[tuple[Any, ...]] = await (await connection.execute(_DUE)).fetchall()
        return [Due(*row) for row in rows]

    async def fired(self, due: Due, cancelled: int) -> bool:
        """Note that it fired and how many orders it cancelled; False, and noted in the audit alone, when it was armed anew."""
        async with borrowed(self._pool()) as connection, connection.transaction():
            done = await connection.execute(_FIRED, (due.key_id, due.kind, due.expires_at))
            marked = done.rowcount == 1
            if marked or cancelled:
                detail = {"key_id": due.key_id, "kind": due.kind, "account": due.account, "cancelled": cancelled}
                await audit.record(connection, audit.SYSTEM, "switch.fired", **detail)
        return marked
