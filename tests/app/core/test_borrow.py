"""Borrowing after a silence of the database: refused at once for a moment, and served as soon as it was heard again."""

import asyncio
from collections.abc import AsyncIterator

import pytest

from app.borrow import DATABASE_AWAY, borrowed, heard
from app.database import Pool, make_pool
from tests.faults.cluster import proxied
from tests.faults.proxy import Proxy

PATIENCE = 10.0


@pytest.fixture
def hole(database: str) -> tuple[Proxy, str]:
    return proxied(database)


@pytest.fixture
async def pool(hole: tuple[Proxy, str]) -> AsyncIterator[Pool]:
    """Of two connections; a statement at the server may take 5 s, so what ends it sooner is the borrower's own limit."""
    proxy, dsn = hole
    with proxy:
        async with make_pool(dsn, size=2, timeout=5.0) as one:
            yield one


async def _ask(pool: Pool, seconds: float = 0.0) -> None:
    async with borrowed(pool) as connection:
        await connection.execute("SELECT pg_sleep(%s)", (seconds,))


async def test_what_was_silent_serves_as_soon_as_it_was_heard(pool: Pool, hole: tuple[Proxy, str]) -> None:
    hole[0].set("black hole")
    with pytest.raises(DATABASE_AWAY):
        await _ask(pool)
    with pytest.raises(DATABASE_AWAY, match="a moment ago"):
        await _ask(pool)
    hole[0].set("pass")
    await heard(pool, PATIENCE)
    await _ask(pool)


async def test_a_silence_that_began_before_it_was_heard_is_forgotten(pool: Pool) -> None:
    late = asyncio.create_task(_ask(pool, PATIENCE))
    await asyncio.sleep(0.2)
    await heard(pool, PATIENCE)
    with pytest.raises(DATABASE_AWAY):
        await late
    await _ask(pool)


async def test_a_database_that_stays_silent_is_not_heard(pool: Pool, hole: tuple[Proxy, str]) -> None:
    hole[0].set("black hole")
    with pytest.raises(DATABASE_AWAY):
        await heard(pool, 1.0)
