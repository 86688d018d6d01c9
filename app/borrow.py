"""A connection for a handler's short work, which ends in time whatever the network does."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from weakref import WeakKeyDictionary

from psycopg import InterfaceError, OperationalError
from psycopg_pool import PoolTimeout

from app.database import Connection, Pool, cut_after

# What a database that is away raises, on the way to it or in the middle of a statement.
DATABASE_AWAY = (OperationalError, InterfaceError, PoolTimeout)
# Longer than a statement may take at the server: who is not answered by then talks to nobody.
_SECONDS = 1.5
_PAUSE = 0.5
_silent_until: WeakKeyDictionary[Pool, float] = WeakKeyDictionary()
_heard_at: WeakKeyDictionary[Pool, float] = WeakKeyDictionary()


@asynccontextmanager
async def borrowed(pool: Pool) -> AsyncIterator[Connection]:
    """A connection of the pool, cut when the block takes longer than a client is to wait. Raises one of DATABASE_AWAY.

    After a silence it raises at once for half a second, so that requests do not queue up behind a dead database.
    """
    started = time.monotonic()
    if started < _silent_until.get(pool, 0.0):
        raise OperationalError("the database did not answer a moment ago")
    try:
        async with pool.connection() as connection:
            with cut_after(connection, _SECONDS):
                yield connection
    except DATABASE_AWAY as error:
        now = time.monotonic()
        silent = isinstance(error, PoolTimeout) or now - started >= _SECONDS
        if silent and started >= _heard_at.get(pool, 0.0):
            _silent_until[pool] = now + _PAUSE
        raise


async def heard(pool: Pool, seconds: float) -> None:
    """Return once the pool has a connection that works: those that are dead were let go, and `borrowed` knows of no silence.

    Raises one of DATABASE_AWAY after `seconds`. It asks again and again, because only somebody who asks makes a pool that gave
    up connect anew.
    """
    await pool.check()
    give_up_at = time.monotonic() + seconds
    while True:
        try:
            async with pool.connection() as connection:
                await pool.check_connection(connection)
        except DATABASE_AWAY:
            if time.monotonic() >= give_up_at:
                raise
        else:
            break
    _heard_at[pool] = time.monotonic()
    _silent_until.pop(pool, None)
