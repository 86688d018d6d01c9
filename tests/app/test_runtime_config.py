"""What one gateway stores reaches the others."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable
from typing import Any

import psycopg
import pytest

from app.audit import SYSTEM
from app.database import Pool, make_pool
from app.errors import BadParams
from app.runtime_config import RuntimeConfig
from app.settings import Settings

SETTINGS = Settings(postgres_dsn="postgresql://nobody@127.0.0.1/nothing")


@pytest.fixture
async def pool(database: str) -> AsyncIterator[Pool]:
    async with make_pool(database, size=2, timeout=1.0) as made:
        yield made


async def within(seconds: float, condition: Callable[[], bool]) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - another task brings it about
            await asyncio.sleep(0.01)


@pytest.fixture
async def other(pool: Pool) -> AsyncIterator[RuntimeConfig]:
    """Another gateway's configuration."""
    config = RuntimeConfig(SETTINGS)
    task = asyncio.create_task(config.follow(pool))
    yield config
    assert not task.done()
    task.cancel()


async def test_a_change_reaches_another_gateway_within_a_second(pool: Pool, other: RuntimeConfig) -> None:
    mine = RuntimeConfig(SETTINGS)
    for value in (7, 0, 10**9):
        await mine.change(pool, "rate_limit_key", value, SYSTEM)
        assert mine.rate_limit_key == value
        await within(1.0, lambda value=value: other.rate_limit_key == value)  # type: ignore[misc]
    assert other.values() == mine.values()


async def test_the_log_level_follows_too_and_is_set_only_when_it_changes(
    pool: Pool, other: RuntimeConfig, monkeypatch: pytest.MonkeyPatch
) -> None:
    levels: list[Any] = []
    monkeypatch.setattr(logging.getLogger(), "setLevel", levels.append)
    with pytest.raises(BadParams):
        await RuntimeConfig(SETTINGS).change(pool, "log_level", "LOUD", SYSTEM)
    async with pool.connection() as connection:
        await connection.execute("INSERT INTO config (name, value) VALUES ('log_level', '\"ERROR\"')")
    await within(1.0, lambda: other.log_level == "ERROR")
    await asyncio.sleep(0.7)
    assert levels == ["ERROR"]


async def test_a_database_that_went_away_is_asked_again(database: str, other: RuntimeConfig) -> None:
    with psycopg.connect(database, autocommit=True) as server:
        for value in (5, 6):
            ended = server.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                " WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
            assert ended.rowcount >= 1
            server.execute(
                "INSERT INTO config (name, value) VALUES ('streams_per_key', to_jsonb(%s::int))"
                " ON CONFLICT (name) DO UPDATE SET value = excluded.value",
                (value,),
            )
            await within(3.0, lambda value=value: other.streams_per_key == value)  # type: ignore[misc]
