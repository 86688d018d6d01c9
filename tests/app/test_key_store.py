"""API keys and sessions against a real PostgreSQL and a real Valkey."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import psycopg
import pytest
from prometheus_client import CollectorRegistry, Gauge

from app.audit import Actor
from app.auth import Authenticator, Credential
from app.cache import Cache
from app.database import Pool, make_pool
from app.errors import Conflict, InvalidApiKey, InvalidToken, NotFound
from app.key_store import FIRST_KEY, KeyStore, digest
from app.migrate import migrate
from app.roles import Role
from app.sessions import Sessions, SessionsUnavailable

ME = Actor("tester", "127.0.0.1", "r1")


async def gone(look: Callable[[], Awaitable[object]], seconds: float) -> None:
    """Wait until a look finds nothing."""
    async with asyncio.timeout(seconds):
        found = await look()
        while found is not None:
            await asyncio.sleep(0.05)
            found = await look()


@pytest.fixture
async def pool(database: str) -> AsyncIterator[Pool]:
    await migrate(database)
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute("INSERT INTO accounts (account, shard, chain) VALUES ('main', 0, ''), ('other', 1, '')")
    async with make_pool(database, size=4, timeout=2) as made:
        yield made


@pytest.fixture
def keys(pool: Pool) -> KeyStore:
    return KeyStore(lambda: pool)


@pytest.fixture
async def redis_cache(redis_url: str) -> AsyncIterator[Cache]:
    made = Cache(redis_url, timeout=0.2, retry=1, up=Gauge("up", "up", registry=CollectorRegistry()))
    yield made
    await made.close()


async def test_a_key_is_256_random_bits_shown_once_and_stored_as_a_hash(keys: KeyStore, database: str) -> None:
    key, text = await keys.create("main", Role.TRADER, "bot", ME)
    assert len(bytes.fromhex(text)) == 32
    assert key.hash == digest(text)
    found = await keys.by_text(text)
    assert found is not None
    assert (found.key_id, found.account, found.role) == (key.key_id, "main", Role.TRADER)
    with psycopg.connect(database) as connection:
        tables = connection.execute(
            "SELECT api_keys::text FROM api_keys UNION ALL SELECT audit::text FROM audit"
        ).fetchall()
    assert len(tables) == 2
    assert not any(text in row[0] for row in tables)


async def test_gateways_that_start_at_once_register_the_same_first_key(pool: Pool) -> None:
    text = "ab" * 32
    gateways = [KeyStore(lambda: pool) for _ in range(4)]
    await asyncio.gather(*(keys.register(FIRST_KEY, text, "main") for keys in gateways))
    assert len(await gateways[0].listed(None)) == 1
    found = await gateways[0].by_text(text)
    assert found is not None
    assert found.role is Role.ADMIN


async def test_a_key_of_an_unknown_account_is_refused(keys: KeyStore) -> None:
    with pytest.raises(NotFound):
        await keys.create("nobody", Role.TRADER, "", ME)


async def test_a_revoked_key_is_dead_at_once_here_and_within_two_seconds_elsewhere(keys: KeyStore, pool: Pool) -> None:
    elsewhere = KeyStore(lambda: pool)
    key, text = await keys.create("main", Role.TRADER, "", ME)
    assert await elsewhere.by_text(text) is not None
    await keys.revoke(key.key_id, (), ME)
    assert await keys.by_text(text) is None
    await gone(lambda: elsewhere.by_text(text), 2.5)


async def test_creating_and_revoking_leave_a_trail(keys: KeyStore, database: str) -> None:
    key, _ = await keys.create("main", Role.VIEWER, "", ME)
    await keys.revoke(key.key_id, (), ME)
    with pytest.raises(NotFound):
        await keys.revoke("nothing", (), ME)
    with psycopg.connect(database) as connection:
        rows = connection.execute("SELECT actor, address, request_id, action FROM audit ORDER BY id").fetchall()
    assert rows == [("tester", "127.0.0.1", "r1", "key.created"), ("tester", "127.0.0.1", "r1", "key.revoked")]


async def test_the_configured_key_replaces_the_one_before_it(keys: KeyStore) -> None:
    await keys.register(FIRST_KEY, "a" * 64, "main")
    await keys.register(FIRST_KEY, "a" * 64, "main")
    await keys.register(FIRST_KEY, "b" * 64, "main")
    assert await keys.by_text("a" * 64) is None
    found = await keys.by_text("b" * 64)
    assert found is not None
    assert found.role is Role.ADMIN
    with pytest.raises(Conflict):
        await keys.revoke(FIRST_KEY, {FIRST_KEY}, ME)


async def test_a_first_key_that_is_configured_no_more_can_be_revoked(keys: KeyStore) -> None:
    await keys.register(FIRST_KEY, "a" * 64, "main")
    await keys.create("main", Role.ADMIN, "", ME)
    await keys.revoke(FIRST_KEY, (), ME)
    assert await keys.by_text("a" * 64) is None


async def test_the_last_admin_key_stays_whoever_revokes(keys: KeyStore) -> None:
    a, _ = await keys.create("main", Role.ADMIN, "", ME)
    b, _ = await keys.create("other", Role.ADMIN, "", ME)
    await keys.create("main", Role.TRADER, "", ME)
    ended = await asyncio.gather(*(keys.revoke(key.key_id, (), ME) for key in (a, b)), return_exceptions=True)
    assert sorted(type(end).__name__ for end in ended) == ["Conflict", "Key"]
    assert await keys.any_admin()


async def test_lookups_of_unknown_keys_do_not_fill_the_memory(keys: KeyStore, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("app.key_store._CACHED", 10)
    for i in range(30):
        assert await keys.by_text(f"wrong{i}") is None
    assert len(keys._cache) == 10


@pytest.fixture
def sessions(redis_cache: Cache) -> Sessions:
    return Sessions(redis_cache, idle=1.0, max_age=2.0)


async def test_a_session_is_found_until_it_is_ended(sessions: Sessions, redis_cache: Cache) -> None:
    token = await sessions.create("k1")
    found = await sessions.find(digest(token))
    assert found is not None
    assert found.key_id == "k1"
    assert redis_cache.client is not None
    stored = [await redis_cache.client.get(name) for name in await redis_cache.client.keys("*")]
    assert not any(
        token in str(name) + str(value) for name, value in zip(await redis_cache.client.keys("*"), stored, strict=True)
    )
    assert await sessions.end(digest(token))
    assert await sessions.find(digest(token)) is None


async def test_a_session_slides_while_it_is_used_and_ends_at_its_greatest_age(sessions: Sessions) -> None:
    token = digest(await sessions.create("k1"))
    for _ in range(3):
        await asyncio.sleep(0.5)
        assert await sessions.find(token) is not None
    await gone(lambda: sessions.find(token), 1.0)


async def test_an_unused_session_ends_by_itself(sessions: Sessions) -> None:
    token = digest(await sessions.create("k1"))
    await asyncio.sleep(1.1)
    assert await sessions.find(token) is None


async def test_a_revoked_key_kills_its_sessions(keys: KeyStore, sessions: Sessions) -> None:
    authenticator = Authenticator(keys, sessions, enabled=True)
    key, _ = await keys.create("main", Role.TRADER, "", ME)
    token = await sessions.create(key.key_id)
    principal = await authenticator.identify(Credential(token, bearer=True))
    assert (principal.key_id, principal.role) == (key.key_id, Role.TRADER)
    assert await authenticator.still(principal)
    await keys.revoke(key.key_id, (), ME)
    assert not await authenticator.still(principal)
    with pytest.raises(InvalidToken):
        await authenticator.identify(Credential(token, bearer=True))


async def test_without_redis_sessions_are_unavailable_and_keys_work(keys: KeyStore) -> None:
    away = Cache("unix:///nonexistent", timeout=0.1, retry=1, up=Gauge("up", "up", registry=CollectorRegistry()))
    authenticator = Authenticator(keys, Sessions(away, idle=60, max_age=60), enabled=True)
    key, text = await keys.create("main", Role.TRADER, "", ME)
    assert (await authenticator.identify(Credential(text))).key_id == key.key_id
    with pytest.raises(SessionsUnavailable):
        await authenticator.identify(Credential("vs_" + "0" * 64, bearer=True))


async def test_a_wrong_key_is_refused(keys: KeyStore, sessions: Sessions) -> None:
    authenticator = Authenticator(keys, sessions, enabled=True)
    with pytest.raises(InvalidApiKey):
        await authenticator.identify(Credential("f" * 64))
    with pytest.raises(InvalidToken):
        await authenticator.identify(Credential("f" * 64, bearer=True))
    with pytest.raises(InvalidApiKey):
        await authenticator.identify(Credential("\udcff\n"))
