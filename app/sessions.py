"""Sessions: an opaque 256-bit token, of which Redis keeps the SHA-256 → key id, with a sliding and an absolute end."""

from __future__ import annotations

import secrets
import time
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import TypeVar

import msgspec
from redis.asyncio import Redis

from app.cache import Cache, CacheAway
from app.errors import VelozError
from app.key_store import digest

T = TypeVar("T")

TOKEN_PREFIX = "vs_"  # noqa: S105 - tells a session's token from a key
_PREFIX = "veloz:session:"


class SessionsUnavailable(VelozError):
    """Redis, which holds the sessions, is away; API keys work on."""

    code = "sessions_unavailable"
    status = HTTPStatus.SERVICE_UNAVAILABLE

    def __init__(self, message: str, retry_after: float = 1.0) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Session(msgspec.Struct, frozen=True):
    """What Redis holds; `until` is the absolute end in Unix seconds."""

    key_id: str
    until: float


class Sessions:
    """`idle` and `max_age` are seconds. Every method raises SessionsUnavailable."""

    def __init__(self, cache: Cache, *, idle: float, max_age: float) -> None:
        self._cache = cache
        self._idle = idle
        self.max_age = max_age

    async def create(self, key_id: str) -> str:
        """A new session's token."""
        token = TOKEN_PREFIX + secrets.token_hex(32)
        value = msgspec.json.encode(Session(key_id, time.time() + self.max_age))

        async def put(client: Redis) -> None:
            await client.set(_name(digest(token)), value, px=int(self._idle * 1000))

        await self._run(put)
        return token

    async def find(self, token_hash: bytes) -> Session | None:
        """The session, its idle time beginning anew; None when there is none or its time is up."""

        async def touch(client: Redis) -> bytes | str | None:
            return await client.getex(_name(token_hash), px=int(self._idle * 1000))

        value = await self._run(touch)
        if value is None:
            return None
        session = msgspec.json.decode(value, type=Session)
        if session.until > time.time():
            return session
        await self.end(token_hash)
        return None

    async def end(self, token_hash: bytes) -> bool:
        """End a session; whether there was one."""

        async def delete(client: Redis) -> int:
            count: int = await client.delete(_name(token_hash))
            return count

        return bool(await self._run(delete))

    async def _run(self, use: Callable[[Redis], Awaitable[T]]) -> T:
        try:
            return await self._cache.run(use)
        except CacheAway as error:
            raise SessionsUnavailable(f"sessions are not available: {error}; use an API key") from error


def _name(token_hash: bytes) -> str:
    return _PREFIX + token_hash.hex()
