"""The table of switches on a real PostgreSQL: what a refresh, a late firing and a disarming do to each other."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta

import psycopg
import pytest

from app.database import Pool, make_pool
from app.errors import NotFound
from app.switches import Due, Switches

SHORT, LONG = timedelta(milliseconds=1), timedelta(hours=1)


@pytest.fixture
async def pool(database: str) -> AsyncIterator[Pool]:
    with psycopg.connect(database) as connection:
        connection.execute("INSERT INTO accounts (account, shard, chain) VALUES ('main', 0, ''), ('fund', 1, '')")
    async with make_pool(database, size=4, timeout=2.0) as made:
        yield made


@pytest.fixture
def switches(pool: Pool) -> Switches:
    return Switches(lambda: pool)


async def due(switches: Switches) -> list[Due]:
    await asyncio.sleep(0.01)
    return await switches.due()


async def test_a_switch_is_due_once_its_time_is_up_until_it_fired(switches: Switches) -> None:
    await switches.arm("late", "timer", "main", SHORT)
    await switches.arm("early", "timer", "main", LONG)
    (one,) = await due(switches)
    assert (one.key_id, one.kind, one.account) == ("late", "timer", "main")
    assert await switches.due() == [one], "a gateway that died before it noted that it fired is made up for"
    assert await switches.fired(one, 0)
    assert await switches.due() == []
    assert not await switches.fired(one, 0), "noted once"


async def test_a_switch_that_was_refreshed_while_it_fired_stays_armed(switches: Switches) -> None:
    await switches.arm("k", "timer", "main", SHORT)
    (one,) = await due(switches)
    await switches.arm("k", "timer", "main", LONG)
    assert not await switches.fired(one, 2)
    assert (await switches.of_key("k"))["timer"].armed


async def test_a_fired_switch_is_armed_again_by_a_refresh_of_either_kind(switches: Switches) -> None:
    for kind in ("timer", "stream"):
        await switches.arm("k", kind, "main", SHORT)
    for one in await due(switches):
        assert await switches.fired(one, 0)
    assert not any(state.armed for state in (await switches.of_key("k")).values())
    await switches.refresh({"k": LONG}, timedelta())
    await switches.arm("k", "timer", "main", LONG)
    assert all(state.armed for state in (await switches.of_key("k")).values())


async def test_a_refresh_puts_off_streams_alone_and_arms_nothing(switches: Switches) -> None:
    await switches.arm("k", "timer", "main", SHORT)
    await switches.arm("k", "stream", "main", SHORT)
    await switches.refresh({"k": LONG, "disarmed": LONG}, timedelta(seconds=0.5))
    assert [one.kind for one in await due(switches)] == ["timer"]
    assert await switches.of_key("disarmed") == {}
    state = (await switches.of_key("k"))["stream"]
    assert state.timeout == "3600"
    assert state.expires_in is not None
    assert 3599 < float(state.expires_in) <= 3600.5


async def test_gateways_that_refresh_the_same_keys_do_not_block_each_other(switches: Switches) -> None:
    keys = [f"k{number}" for number in range(50)]
    for key in keys:
        await switches.arm(key, "stream", "main", LONG)
    there, back = dict.fromkeys(keys, LONG), dict.fromkeys(reversed(keys), LONG)
    async with asyncio.timeout(5):
        await asyncio.gather(*(switches.refresh(order, timedelta()) for order in (there, back) * 30))


async def test_a_key_of_no_account_has_no_switch(switches: Switches) -> None:
    with pytest.raises(NotFound, match="no account 'nowhere'"):
        await switches.arm("k", "timer", "nowhere", LONG)


async def test_a_switch_follows_its_key_to_another_account(switches: Switches) -> None:
    await switches.arm("k", "timer", "main", LONG)
    await switches.arm("k", "timer", "fund", SHORT)
    assert [one.account for one in await due(switches)] == ["fund"]
