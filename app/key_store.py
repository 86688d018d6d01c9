"""API keys: 256 random bits shown once, their SHA-256 in PostgreSQL, and what was read of them kept for two seconds."""

from __future__ import annotations

import hashlib
import hmac
import secrets
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Container
from datetime import datetime

import msgspec
from psycopg import errors

from app import audit
from app.audit import Actor
from app.borrow import borrowed
from app.database import Connection, Pool
from app.errors import Conflict, NotFound
from app.roles import Role

TTL = 2.0
_CACHED = 10_000
_COLUMNS = "key_id, hash, account, role, name, created_at, revoked_at"
# Locked in one order, so that of two who revoke each other's key one finds itself the last.
_ADMINS = "SELECT key_id FROM api_keys WHERE role = 'admin' AND revoked_at IS NULL AND key_id <> %s ORDER BY key_id FOR UPDATE"
FIRST_KEY = "first"
PASSWORD_KEY = "password"  # noqa: S105 - the name of a row


class Key(msgspec.Struct, frozen=True):
    """A key without its text."""

    key_id: str
    hash: bytes
    account: str
    role: Role
    name: str
    created_at: datetime
    revoked_at: datetime | None


def digest(text: str) -> bytes:
    return hashlib.sha256(text.encode(errors="surrogateescape")).digest()


class KeyStore:
    """The keys of the database behind `pool`. Every method raises psycopg.OperationalError when it is away."""

    def __init__(self, pool: Callable[[], Pool]) -> None:
        self._pool = pool
        self._cache: OrderedDict[bytes | str, tuple[float, Key | None]] = OrderedDict()

    async def by_text(self, text: str) -> Key | None:
        """The key that is not revoked and has this text."""
        wanted = digest(text)
        key = await self._cached(wanted, lambda: self._read("hash", wanted))
        return key if key is not None and hmac.compare_digest(key.hash, wanted) else None

    async def by_id(self, key_id: str) -> Key | None:
        """The key that is not revoked and has this id."""
        return await self._cached(key_id, lambda: self._read("key_id", key_id))

    async def listed(self, account: str | None) -> list[Key]:
        """All keys, of one account or of all, the newest first; revoked ones too."""
        async with borrowed(self._pool()) as connection:
            rows = await connection.execute(
                f"SELECT {_COLUMNS} FROM api_keys WHERE %(a)s::text IS NULL OR account = %(a)s"  # noqa: S608 - a constant
                " ORDER BY created_at DESC, key_id LIMIT 500",
                {"a": account},
            )
            return [_key(row) for row in await rows.fetchall()]

    async def create(self, account: str, role: Role, name: str, actor: Actor) -> tuple[Key, str]:
        """A new key and, this once, its text. Raises NotFound when there is no such account."""
        text, key_id = secrets.token_hex(32), secrets.token_hex(8)
        try:
            async with borrowed(self._pool()) as connection, connection.transaction():
                key = await _insert(connection, key_id, text, account, role, name)
                await audit.record(
                    connection, actor, "key.created", key_id=key_id, account=account, role=role.value, name=name
                )
        except errors.ForeignKeyViolation as error:
            raise NotFound(f"there is no account {account!r}") from error
        self._cache.pop(key.hash, None)
        return key, text

    async def revoke(self, key_id: str, configured: Container[str], actor: Actor) -> Key:
        """End a key. Raises NotFound, and Conflict for one that the next start brings back and for the last admin key."""
        if key_id in configured:
            raise Conflict(f"{key_id!r} comes from the configuration; change it there and restart")
        async with borrowed(self._pool()) as connection, connection.transaction():
            rows = await connection.execute(_ADMINS, (PASSWORD_KEY,))
            if [row[0] for row in await rows.fetchall()] == [key_id]:
                raise Conflict(f"{key_id!r} is the last admin key; make another one first")
            rows = await connection.execute(
                "UPDATE api_keys SET revoked_at = coalesce(revoked_at, now())"  # noqa: S608 - a constant
                f" WHERE key_id = %s RETURNING {_COLUMNS}",
                (key_id,),
            )
            row = await rows.fetchone()
            if row is None:
                raise NotFound(f"there is no key {key_id!r}")
            await audit.record(connection, actor, "key.revoked", key_id=key_id)
        key = _key(row)
        self.forget(key)
        return key

    def forget(self, key: Key) -> None:
        """Drop what is cached of a key."""
        self._cache.pop(key.hash, None)
        self._cache.pop(key.key_id, None)

    async def register(self, key_id: str, text: str, account: str) -> None:
        """Make this the admin key of a fixed id, in place of an earlier one. The account must be there."""
        async with borrowed(self._pool()) as connection, connection.transaction():
            # Several gateways that start at once do this one after another.
            await connection.execute("SELECT pg_advisory_xact_lock(hashtext('api_keys ' || %s))", (key_id,))
            rows = await connection.execute("SELECT hash FROM api_keys WHERE key_id = %s FOR UPDATE", (key_id,))
            there = await rows.fetchone()
            if there is not None and bytes(there[0]) == digest(text):
                await connection.execute("UPDATE api_keys SET revoked_at = NULL WHERE key_id = %s", (key_id,))
                return
            await connection.execute("DELETE FROM api_keys WHERE key_id = %s", (key_id,))
            await _insert(connection, key_id, text, account, Role.ADMIN, "from the configuration")
            await audit.record(connection, audit.SYSTEM, "key.created", key_id=key_id, account=account, role="admin")
        self._cache.clear()

    async def any_admin(self) -> bool:
        """Whether there is a key with which an admin can get in."""
        async with borrowed(self._pool()) as connection:
            rows = await connection.execute("SELECT FROM api_keys WHERE role = 'admin' AND revoked_at IS NULL LIMIT 1")
            return await rows.fetchone() is not None

    async def unregister(self, key_id: str) -> None:
        """End the key of a fixed id, whose configuration is gone."""
        async with borrowed(self._pool()) as connection, connection.transaction():
            done = await connection.execute(
                "UPDATE api_keys SET revoked_at = now() WHERE key_id = %s AND revoked_at IS NULL", (key_id,)
            )
            if done.rowcount:
                await audit.record(connection, audit.SYSTEM, "key.revoked", key_id=key_id)
        self._cache.clear()

    async def _cached(self, wanted: bytes | str, read: Callable[[], Awaitable[Key | None]]) -> Key | None:
        now = time.monotonic()
        found = self._cache.get(wanted)
        if found is not None and found[0] > now:
            return found[1]
        key = await read()
        self._cache[wanted] = (now + TTL, key)
        self._cache.move_to_end(wanted)
        if len(self._cache) > _CACHED:
            self._cache.popitem(last=False)
        return key

    async def _read(self, column: str, value: bytes | str) -> Key | None:
        async with borrowed(self._pool()) as connection:
            rows = await connection.execute(
                f"SELECT {_COLUMNS} FROM api_keys WHERE {column} = %s AND revoked_at IS NULL",  # noqa: S608 - constants
                (value,),
            )
            row = await rows.fetchone()
        return None if row is None else _key(row)


async def _insert(connection: Connection, key_id: str, text: str, account: str, role: Role, name: str) -> Key:
    rows = await connection.execute(
        "INSERT INTO api_keys (key_id, hash, account, role, name) VALUES (%s, %s, %s, %s, %s)"  # noqa: S608 - a constant
        f" RETURNING {_COLUMNS}",
        (key_id, digest(text), account, role.value, name),
    )
    row = await rows.fetchone()
    if row is None:
        raise RuntimeError("INSERT … RETURNING gave no row")
    return _key(row)


def _key(row: tuple[object, ...]) -> Key:
    return msgspec.convert(dict(zip(Key.__struct_fields__, row, strict=True)), Key)
