"""The settings that can change while the gateway runs. A change is stored in `config`, whose trigger keeps the history.

Every gateway reads the table again and again: it has a row a setting at most, and no question about it is cheaper.
"""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Final

import msgspec
from psycopg.types.json import Jsonb

from app import audit, logs
from app.audit import Actor
from app.borrow import DATABASE_AWAY, borrowed
from app.database import Pool
from app.errors import BadParams, NotFound
from app.settings import VARIABLES, Settings

_LOG = logging.getLogger("veloz.config")

FOLLOW_SECONDS: Final = 0.5
RUNTIME = ("rate_limit_key", "rate_limit_address", "rate_limit_login", "streams_per_key", "log_level")
_VARIABLES = {v.field: v for v in VARIABLES if v.field in RUNTIME}


class RuntimeConfig:
    """Values in force: the environment's, until a stored one replaces it."""

    def __init__(self, settings: Settings) -> None:
        self.rate_limit_key = settings.rate_limit_key
        self.rate_limit_address = settings.rate_limit_address
        self.rate_limit_login = settings.rate_limit_login
        self.streams_per_key = settings.streams_per_key
        self.log_level: str = settings.log_level
        self._turn = asyncio.Lock()  # what was read before a change must not be taken after it

    def values(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in RUNTIME}

    async def load(self, pool: Pool) -> None:
        """Take what is stored. Values that are no longer allowed are left out."""
        async with self._turn, borrowed(pool) as connection:
            rows = await connection.execute("SELECT name, value FROM config WHERE name = ANY(%s)", (list(RUNTIME),))
            for name, value in await rows.fetchall():
                try:
                    self._take(name, value)
                except BadParams:
                    continue

    async def follow(self, pool: Pool) -> None:
        """Take what other gateways store, within a second, until cancelled. While the database is away nothing changes."""
        while True:
            try:
                await self.load(pool)
            except DATABASE_AWAY as error:
                _LOG.debug("the configuration waits for the database", extra={"why": str(error)})
            await asyncio.sleep(FOLLOW_SECONDS)

    async def change(self, pool: Pool, name: str, value: object, actor: Actor) -> None:
        """Store a value and use it. Raises NotFound, BadParams."""
        if name not in _VARIABLES:
            raise NotFound(f"{name!r} cannot be changed while running; these can: {', '.join(RUNTIME)}")
        self._check(name, value)
        async with self._turn:
            async with borrowed(pool) as connection, connection.transaction():
                await connection.execute(
                    "INSERT INTO config (name, value, changed_by) VALUES (%s, %s, %s) ON CONFLICT (name) DO UPDATE"
                    " SET value = excluded.value, changed_by = excluded.changed_by, changed_at = now()",
                    (name, Jsonb(value), actor.key_id),
                )
                await audit.record(connection, actor, "config.changed", name=name, value=value)
            self._take(name, value)

    def _check(self, name: str, value: object) -> Any:  # noqa: ANN401 - the field's own type
        variable = _VARIABLES[name]
        try:
            return msgspec.convert(value, variable.type)
        except msgspec.ValidationError as error:
            raise BadParams(f"{name} {variable.rule}") from error

    def _take(self, name: str, value: object) -> None:
        before = getattr(self, name)
        setattr(self, name, self._check(name, value))
        if name == "log_level" and self.log_level != before:
            logs.set_level(self.log_level)
