"""Claims, epochs and fences against a real database; gateways are rows with a lease and a session that holds their lock."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psycopg
import pytest

from app.database import Connection, connect
from app.fencing import SHARDS, claim, release, shard_of
from app.hub import LogEntry
from app.membership import KEEPER_LOCK
from app.tables import rows
from app.wal_rows import FENCE, Append, Head, Opening, Rows

ALL = range(SHARDS)
LIVE = b"SELECT owner FROM live_gateways ORDER BY owner"


def name_of(owner: str) -> str:
    """An incarnation: 16 characters, as the last ones of a session's name."""
    return f"{owner:x>16}"


@asynccontextmanager
async def gateway(database: str, owner: str, lease: float = 30) -> AsyncIterator[Connection]:
    """A living gateway's session."""
    async with await connect(database, statement_timeout=5, name="test keeper") as session:
        cursor = await session.execute(
            "INSERT INTO gateways (owner, incarnation, lease_until) "
            "VALUES (%s, %s, clock_timestamp() + make_interval(secs => %s)) RETURNING id",
            (owner, name_of(owner), lease),
        )
        [(number,)] = await cursor.fetchall()
        await session.execute("SELECT pg_advisory_lock(%s, %s)", (KEEPER_LOCK, number))
        yield session


async def test_a_claim_raises_the_epochs_of_what_it_takes(database: str) -> None:
    async with gateway(database, "one") as one:
        assert await claim(one, "one", name_of("one"), ALL) == dict.fromkeys(ALL, 1)
        assert await claim(one, "one", name_of("one"), [3, 5]) == {3: 2, 5: 2}


async def test_nothing_is_taken_from_a_living_gateway(database: str) -> None:
    async with gateway(database, "one") as one, gateway(database, "two") as two:
        epochs = await claim(one, "one", name_of("one"), [1, 2])
        assert await claim(two, "two", name_of("two"), [1, 2, 3]) == {3: 1}
        await release(one, "one", {1: epochs[1]})
        assert await claim(two, "two", name_of("two"), [1, 2]) == {1: 2}


async def test_a_killed_gateway_is_dead_at_once_and_a_silent_one_when_its_lease_ends(
    database: str, connection: Connection
) -> None:
    async with gateway(database, "one") as one:
        await claim(one, "one", name_of("one"), ALL)
        assert await rows(connection, LIVE) == [("one",)]
    async with gateway(database, "two", lease=0.3) as two:
        async with asyncio.timeout(5):
            while ("one",) in await rows(connection, LIVE):  # noqa: ASYNC110 - the server's business
                await asyncio.sleep(0.01)
        assert len(await claim(two, "two", name_of("two"), ALL)) == SHARDS
        async with asyncio.timeout(5):
            while await rows(connection, LIVE):  # noqa: ASYNC110 - the database's clock
                await asyncio.sleep(0.01)
        assert await claim(two, "two", name_of("two"), ALL) == {}, "no claim without a lease"


async def test_a_gateway_that_hangs_in_the_middle_of_an_append_does_not_keep_its_shards(
    database: str, connection: Connection
) -> None:
    """Within a pipeline none of the server's own time-outs runs: its session must be ended."""
    name = f"veloz committer {name_of('one')}"
    async with (
        gateway(database, "two") as two,
        gateway(database, "one") as one,
        await connect(database, statement_timeout=60, name=name) as hanging,
    ):
        mine = await claim(one, "one", name_of("one"), ALL)
        await hanging.execute("BEGIN")
        await hanging.execute(FENCE, ("one", [7], [mine[7]]))
        await connection.execute("UPDATE gateways SET lease_until = now() WHERE owner = 'one'")
        async with asyncio.timeout(2):
            assert len(await claim(two, "two", name_of("two"), ALL)) == SHARDS
        with pytest.raises(psycopg.OperationalError):
            await hanging.execute("COMMIT")


async def test_another_process_of_the_same_name_claims_nothing(database: str) -> None:
    async with gateway(database, "one") as one:
        assert await claim(one, "one", "another", ALL) == {}


async def test_a_release_under_an_older_epoch_gives_nothing_back(database: str, connection: Connection) -> None:
    async with gateway(database, "one") as one:
        before = await claim(one, "one", name_of("one"), [7])
        now = await claim(one, "one", name_of("one"), [7])
        await release(one, "one", before)
        assert await rows(connection, b"SELECT owner, epoch FROM shards WHERE shard = 7") == [("one", now[7])]


async def test_an_append_of_a_lost_epoch_is_refused_and_leaves_nothing(database: str) -> None:
    async with gateway(database, "one") as one:
        mine = await claim(one, "one", name_of("one"), ALL)
        await claim(one, "one", name_of("one"), ALL)
        with pytest.raises(psycopg.Error, match="one no longer owns 1 of 1 shards") as refused:
            await write(one, Rows("one", mine, [opening("a")]))
        assert refused.value.sqlstate == "VZ001"
        assert await rows(one, b"SELECT 1 FROM accounts") == []


async def test_a_claim_waits_for_the_append_in_progress(database: str) -> None:
    async with gateway(database, "one") as one, await connect(database, statement_timeout=5, name="other") as claimer:
        mine = await claim(one, "one", name_of("one"), ALL)
        async with one.transaction():
            await one.execute(FENCE, ("one", [7], [mine[7]]))
            claiming = asyncio.create_task(claim(claimer, "one", name_of("one"), ALL))
            done, _ = await asyncio.wait({claiming}, timeout=0.3)
            assert not done
        assert (await claiming)[7] == 2


async def test_a_log_that_does_not_end_where_it_should_is_not_written_to(database: str) -> None:
    async with gateway(database, "one") as one:
        mine = await claim(one, "one", name_of("one"), ALL)
        await write(one, Rows("one", mine, [opening("a")]))
        with pytest.raises(
            psycopg.Error, match="accounts whose log ends where it should: 0 rows, expected 1"
        ) as refused:
            await write(one, Rows("one", mine, [entry("a", 3)]))
        assert refused.value.sqlstate == "VZ002"
        await write(one, Rows("one", mine, [entry("a", 1)]))
        assert await rows(one, b"SELECT seq, epoch FROM order_wal") == [(1, 1)]


def test_a_shard_is_the_same_for_ever() -> None:
    assert [shard_of(name) for name in ("main", "a", "b")] == [0x0D, 0xCA, 0x3E]


def opening(account: str) -> Append:
    head = Head(shard_of(account))
    return Append([], [], {account: head}, lambda _: None, None, Opening(account, head.shard, {}))


def entry(account: str, seq: int) -> Append:
    payload = b'{"type":"transfer","account":"a","ts_ns":1,"asset":"USDT","amount":1,"ref":""}'
    found = LogEntry(account, seq, "transfer", None, payload, 1)
    return Append([found], [], {account: Head(shard_of(account), seq)}, lambda _: None, None, None)


async def write(connection: Connection, what: Rows) -> None:
    async with connection.pipeline(), connection.transaction():
        for query, values in what.statements():
            await connection.execute(query, values)
