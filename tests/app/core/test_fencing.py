import asyncio

import psycopg
import pytest

from app.database import Connection, connect
from app.fencing import SHARDS, Fenced, LeaseHeld, claim, release, renew, shard_of
from app.hub import LogEntry
from app.tables import rows
from app.wal_rows import FENCE, Append, Head, Opening, Rows


async def test_a_claim_takes_all_shards_and_raises_their_epoch(connection: Connection) -> None:
    assert set((await claim(connection, "one", 3)).epochs.values()) == {1}
    again = await claim(connection, "one", 3)
    assert again.epochs == dict.fromkeys(range(SHARDS), 2)


async def test_another_gateway_waits_for_the_lease_to_end(connection: Connection) -> None:
    await claim(connection, "one", 0.3)
    with pytest.raises(LeaseHeld, match="one owns the accounts"):
        await claim(connection, "two", 3)
    async with asyncio.timeout(5):
        while True:
            try:
                assert set((await claim(connection, "two", 3)).epochs.values()) == {2}
            except LeaseHeld:
                await asyncio.sleep(0.05)
            else:
                break
    await release(connection, "two")
    await claim(connection, "one", 3)


async def test_a_lost_claim_is_noticed_at_the_next_renewal(connection: Connection) -> None:
    mine = await claim(connection, "one", 3)
    assert abs((await renew(connection, mine, 3)).clock_offset) < 1
    await claim(connection, "one", 3)
    with pytest.raises(Fenced, match="another gateway"):
        await renew(connection, mine, 3)


async def test_an_append_of_a_lost_epoch_is_refused_and_leaves_nothing(connection: Connection) -> None:
    mine = await claim(connection, "one", 3)
    await claim(connection, "one", 3)
    with pytest.raises(psycopg.Error, match="one no longer owns 1 of 1 shards") as refused:
        await write(connection, Rows(mine, [opening("a")]))
    assert refused.value.sqlstate == "VZ001"
    assert await rows(connection, b"SELECT 1 FROM accounts") == []


async def test_a_claim_waits_for_the_append_in_progress(connection: Connection, database: str) -> None:
    mine = await claim(connection, "one", 3)
    async with await connect(database, statement_timeout=5, name="claimer") as claimer:
        async with connection.transaction():
            await connection.execute(FENCE, ("one", [7], [mine.epochs[7]]))
            claiming = asyncio.create_task(claim(claimer, "one", 3))
            done, _ = await asyncio.wait({claiming}, timeout=0.3)
            assert not done
        assert (await claiming).epochs[7] == 2


async def test_a_log_that_does_not_end_where_it_should_is_not_written_to(connection: Connection) -> None:
    mine = await claim(connection, "one", 3)
    await write(connection, Rows(mine, [opening("a")]))
    late = entry("a", 3)
    with pytest.raises(psycopg.Error, match="accounts whose log ends where it should: 0 rows, expected 1") as refused:
        await write(connection, Rows(mine, [late]))
    assert refused.value.sqlstate == "VZ002"
    await write(connection, Rows(mine, [entry("a", 1)]))
    assert await rows(connection, b"SELECT seq, epoch FROM order_wal") == [(1, 1)]


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
