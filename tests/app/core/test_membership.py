"""Being one of several gateways: names, leases, and who is told to stay away."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

import msgspec
import psycopg
import pytest

from app.database import Connection
from app.exchange_config import ExchangeConfig
from app.fencing import Fenced, LeaseHeld
from app.membership import Membership
from app.tables import rows
from tests.app.core.conftest import until

replace = msgspec.structs.replace
LIVE = b"SELECT owner FROM live_gateways ORDER BY owner"
END_KEEPERS = b"""SELECT pg_terminate_backend(pid) FROM pg_stat_activity
WHERE application_name = 'veloz keeper' AND datname = current_database()"""
URL = {"advertise_url": "http://127.0.0.1:1", "cluster_secret": "s" * 43}


@asynccontextmanager
async def membership(config: ExchangeConfig, able: Callable[[], bool] = lambda: True) -> AsyncIterator[Membership]:
    one = Membership(config, able, lambda: None)
    running = asyncio.create_task(one.run())
    try:
        yield one
    finally:
        await one.leave()
        one.cut()
        running.cancel()
        await asyncio.wait({running})


async def live(connection: Connection) -> list[str]:
    return [row[0] for row in await rows(connection, LIVE)]


async def test_a_member_lives_until_it_leaves(config: ExchangeConfig, connection: Connection) -> None:
    async with membership(config) as one:
        await one.joined(5)
        assert await live(connection) == [config.owner]
        assert one.renewal is not None
        assert abs(one.renewal.clock_offset) < 1
        assert 2 < one.seconds_left <= config.lease_ttl
        before = one.renewal
        await one.renew()
        assert one.renewal is not before
        await one.leave()
        assert await live(connection) == []
        assert one.seconds_left == 0


async def test_one_that_cannot_trade_owns_nothing(config: ExchangeConfig, connection: Connection) -> None:
    able = False
    async with membership(config, lambda: able) as one:
        await one.joined(5)
        assert await live(connection) == []
        able = True
        await one.renew()
        assert await live(connection) == [config.owner]


async def test_a_process_of_the_same_name_takes_the_place_and_the_first_does_not_fight(
    config: ExchangeConfig, connection: Connection
) -> None:
    async with membership(config) as first:
        await first.joined(5)
        async with membership(config) as second:
            await second.joined(5)
            with pytest.raises((Fenced, psycopg.Error)):
                await asyncio.wait_for(first.until_lost(), 5)
            await until(lambda: isinstance(first.fault, Fenced))
            assert "a name of its own" in str(first.fault)
            renewed = second.renewal
            await second.renew()
            assert second.renewal is not renewed
        await until(lambda: first.seconds_left > 0)  # the other is gone
        assert await live(connection) == [config.owner]


async def test_a_cut_session_is_joined_again(config: ExchangeConfig, connection: Connection) -> None:
    async with membership(config) as one:
        await one.joined(5)
        await rows(connection, END_KEEPERS)
        with pytest.raises(psycopg.Error):
            await asyncio.wait_for(one.until_lost(), 5)
        await until(lambda: one.seconds_left > 0)
        assert await live(connection) == [config.owner]


@pytest.mark.parametrize(
    ("first", "second", "why"),
    [
        ({}, {}, "need VELOZ_ADVERTISE_URL"),
        ({}, URL, "need VELOZ_ADVERTISE_URL"),
        (URL, {}, "need VELOZ_ADVERTISE_URL"),
        (URL, URL | {"cluster_secret": "t" * 43}, "another VELOZ_CLUSTER_SECRET"),
        (URL, URL, None),
    ],
)
async def test_only_gateways_that_can_share_do(
    config: ExchangeConfig, first: dict[str, str], second: dict[str, str], why: str | None
) -> None:
    async with membership(replace(config, **first)) as one:
        await one.joined(5)
        async with membership(replace(config, owner="other", **second)) as other:
            if why is None:
                await other.joined(5)
                return
            with pytest.raises(LeaseHeld, match=why):
                await other.joined(5)
            assert one.seconds_left > 0


async def test_a_database_that_is_away_is_named(config: ExchangeConfig) -> None:
    async with membership(replace(config, postgres_dsn="host=/nowhere dbname=x")) as one:
        with pytest.raises(psycopg.OperationalError):
            await one.joined(5)
