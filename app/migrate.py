"""SQL migrations: numbered files, each applied once in a transaction of its own, under a lock, and never changed again."""

from __future__ import annotations

import hashlib
import logging
import re
from collections.abc import Sequence
from pathlib import Path

import msgspec
from psycopg import AsyncConnection
from psycopg.rows import TupleRow

from app.database import bounded

log = logging.getLogger(__name__)

SCHEMA = Path(__file__).parent / "schema"
LOCK = 0x76656C6F7A  # "veloz": gateways that start together take turns
_NAME = re.compile(r"(\d{4})_[a-z0-9_]+\.sql")
_PATIENCE = 60.0  # seconds a migration may take, and may wait for another gateway's


class MigrationRefused(Exception):
    """The schema in the database is not one that this version can bring up to date; the message says why and what to do."""


class Migration(msgspec.Struct, frozen=True):
    version: int
    name: str
    sql: str

    @property
    def checksum(self) -> str:
        return hashlib.sha256(self.sql.encode()).hexdigest()


def read_migrations(directory: Path = SCHEMA) -> list[Migration]:
    """The directory's migrations in order; MigrationRefused when they are not numbered 1, 2, 3, …"""
    found = []
    for path in sorted(directory.glob("*.sql")):
        match = _NAME.fullmatch(path.name)
        if match is None:
            raise MigrationRefused(f"{path.name} is not named like 0001_core.sql; rename it")
        found.append(Migration(int(match[1]), path.name, path.read_text(encoding="utf-8")))
    if [one.version for one in found] != list(range(1, len(found) + 1)):
        numbers = ", ".join(str(one.version) for one in found)
        raise MigrationRefused(
            f"the migrations in {directory} are numbered {numbers}; they must be 1, 2, 3, … without a gap"
        )
    return found


def pending(known: Sequence[Migration], applied: Sequence[tuple[int, str, str]]) -> list[Migration]:
    """What is left to apply; `applied` is (version, name, checksum) in order. MigrationRefused when the two disagree."""
    for version, name, checksum in applied:
        if version > len(known):
            raise MigrationRefused(
                f"the database has migration {name}, which this version does not know (its newest is {len(known)}); "
                "run the version that made it, or a newer one"
            )
        mine = known[version - 1]
        if (mine.name, mine.checksum) != (name, checksum):
            raise MigrationRefused(
                f"migration {name} was applied with checksum {checksum[:12]}…, the file {mine.name} has {mine.checksum[:12]}…; "
                "an applied migration never changes: restore the file and put the change in a new one"
            )
    return list(known[len(applied) :])


async def migrate(dsn: str, directory: Path = SCHEMA) -> list[str]:
    """Bring the database up to this version's schema; returns the names of the migrations applied.

    Raises MigrationRefused, or psycopg.OperationalError when the server cannot be reached.
    """
    known = read_migrations(directory)
    conninfo = bounded(dsn, statement_timeout=_PATIENCE, name="veloz migrate")
    async with await AsyncConnection.connect(conninfo, autocommit=True) as connection:
        await connection.execute("SELECT pg_advisory_lock(%s)", (LOCK,))
        await connection.execute(
            "CREATE TABLE IF NOT EXISTS schema_migrations (version integer PRIMARY KEY, name text NOT NULL, "
            "checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())"
        )
        cursor = await connection.execute("SELECT version, name, checksum FROM schema_migrations ORDER BY version")
        todo = pending(known, [(row[0], row[1], row[2]) for row in await cursor.fetchall()])
        for one in todo:
            await _apply(connection, one)
    return [one.name for one in todo]


async def _apply(connection: AsyncConnection[TupleRow], one: Migration) -> None:
    async with connection.transaction():
        await connection.execute(one.sql.encode())
        await connection.execute(
            "INSERT INTO schema_migrations (version, name, checksum) VALUES (%s, %s, %s)",
            (one.version, one.name, one.checksum),
        )
    log.info("applied migration %s", one.name)
