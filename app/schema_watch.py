"""How many migrations this gateway knows, and how many the database has: a newer gateway may have brought it further meanwhile.

Who returns to an older release must know both.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import Final

import msgspec
import psycopg

from app.borrow import borrowed
from app.database import Pool
from app.migrate import read_migrations

_LOG = logging.getLogger("veloz.schema")

LOOK_SECONDS: Final = 1.0
# What was seen longer ago says nothing of now.
FRESH_SECONDS: Final = 5.0
_NEWEST: Final = b"SELECT coalesce(max(version), 0) FROM schema_migrations"


class Schema(msgspec.Struct, frozen=True):
    """Numbers of migrations: those that this version knows, and those applied. `database` null: not to be had now."""

    known: int
    database: int | None


class SchemaWatch:
    """Raises MigrationRefused for files that are no migrations."""

    def __init__(self) -> None:
        self._known = len(read_migrations())
        self._database = 0
        self._seen = float("-inf")

    def schema(self) -> Schema:
        fresh = time.monotonic() - self._seen <= FRESH_SECONDS
        return Schema(self._known, self._database if fresh else None)

    async def follow(self, pool: Pool) -> None:
        """Look again and again, until cancelled: a health check must not wait for a database."""
        while True:
            try:
                await self.look(pool)
            except psycopg.Error as error:  # before the first migration there is no table
                _LOG.debug("the schema in the database is not known now", extra={"why": str(error)})
            await asyncio.sleep(LOOK_SECONDS)

    async def look(self, pool: Pool) -> None:
        """Now. Raises psycopg.Error."""
        async with borrowed(pool) as connection:
            started = time.monotonic()
            row = await (await connection.execute(_NEWEST)).fetchone()
            if row is not None:
                self._database, self._seen = int(row[0]), started
