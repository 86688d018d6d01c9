"""Who did what from where: rows in `audit`, written with the change they tell of."""

from __future__ import annotations

from typing import Any

import msgspec
from psycopg.types.json import Jsonb

from app.database import Connection


class Actor(msgspec.Struct, frozen=True):
    """The origin of a request; `key_id` is None before or without authentication."""

    key_id: str | None
    address: str
    request_id: str


SYSTEM = Actor(None, "", "")


async def record(connection: Connection, actor: Actor, action: str, **detail: Any) -> None:  # noqa: ANN401 - plain JSON
    """Add a row in the connection's transaction. `detail` holds no secret."""
    await connection.execute(
        "INSERT INTO audit (actor, address, request_id, action, detail) VALUES (%s, %s, %s, %s, %s)",
        (actor.key_id, actor.address or None, actor.request_id or None, action, Jsonb(detail)),
    )
