"""A connection for a handler's short work, which ends in time whatever the network does."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from psycopg import InterfaceError, OperationalError
from psycopg_pool import PoolTimeout

from app.database import Connection, Pool, cut_after

# What a database that is away raises, on the way to it or in the middle of a statement.
DATABASE_AWAY = (OperationalError, InterfaceError, PoolTimeout)
_SECONDS = 1.5


@asynccontextmanager
async def borrowed(pool: Pool) -> AsyncIterator[Connection]:
    """A connection of the pool, cut when the block takes longer than a client is to wait. Raises one of DATABASE_AWAY."""
    async with pool.connection() as connection:
        with cut_after(connection, _SECONDS):
            yield connection
