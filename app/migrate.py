"""SQL migrations: numbered files, applied once each, under a lock."""

from __future__ import annotations


class MigrationRefused(Exception):
    """The database's schema is not one this version can bring up to date; the message says which and what to do."""


async def migrate(dsn: str) -> list[str]:
    """Bring the database up to this version's schema; returns the names of the migrations applied."""
    raise NotImplementedError(dsn)
