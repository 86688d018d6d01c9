"""Pruning: what is too old or too many goes, what a recovery may need stays, and readers are told."""

import asyncio
import time
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, suppress
from typing import Any

import msgspec
import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prometheus_client import CollectorRegistry

from app.commands import NewOrder, Side
from app.database import Connection
from app.errors import ExecutionUnavailable
from app.exchange_config import ExchangeConfig
from app.fencing import FENCED
from app.hub import EventHub
from app.metrics_core import CoreMetrics
from app.money import parse_units as units
from app.prune import Keep, Pruner, last_to_go
from app.recovery import write_checkpoints
from app.ring import PAGE
from app.tables import rows
from tests.app.core.conftest import TestExchange, until
from tests.app.core.log_writer import LogWriter, pooled, reading, writing

DAY_NS = 86_400 * 10**9
Running = Callable[..., AbstractAsyncContextManager[TestExchange]]


# The planner.


@given(
    ages=st.lists(st.integers(0, 10), max_size=40),
    before=st.integers(0, 5),
    behind=st.integers(0, 30),
    days=st.integers(0, 8),
    events=st.integers(0, 50),
)
def test_a_beginning_of_the_log_goes_and_nothing_more(
    ages: list[int], before: int, behind: int, days: int, events: int
) -> None:
    now, keep = 100 * DAY_NS, Keep(days, events)
    oldest = [(before + n + 1, str(n), now - age * DAY_NS) for n, age in enumerate(ages)]
    head = before + len(ages) + behind
    last = last_to_go(oldest, keep, head=head, now_ns=now)
    gone = [] if last is None else oldest[: last[0] - before]
    for seq, _, ts_ns in gone:
        assert (days and now - ts_ns > days * DAY_NS) or (events and head - seq >= events)
    if len(gone) < len(oldest):
        seq, _, ts_ns = oldest[len(gone)]
        assert not (days and now - ts_ns > days * DAY_NS)
        assert not events or seq > head - events


def test_without_limits_all_is_kept() -> None:
    assert not Keep()
    assert Keep(days=0.5)
    assert Keep(events=1)
    assert last_to_go([(1, "1", 0)], Keep(), head=10**9, now_ns=10**18) is None


# The job, on a log written without an engine.


@pytest.fixture
async def writer(database: str) -> AsyncIterator[LogWriter]:
    async with writing(database) as one:
        await one.open("main")
        await one._connection.execute("INSERT INTO gateways (owner, lease_until) VALUES ('me', now() + '1 h')")
        await one._connection.execute("UPDATE shards SET owner = 'me', epoch = 7")
        yield one


@pytest.fixture
async def pruner(database: str) -> AsyncIterator[Callable[..., Pruner]]:
    """Makes one: what it keeps, and the epoch it believes to hold its shards in."""
    async with pooled(database) as pool:

        def make(keep: Keep, epoch: int = 7, *accounts: str) -> Pruner:
            return Pruner(
                pool,
                keep,
                owned=lambda: accounts or ("main",),
                held=lambda _account: ("me", [0], [epoch]),
                metrics=CoreMetrics(CollectorRegistry()),
            )

        yield make


async def checkpoint(connection: Connection, *places: int, account: str = "main", damaged: bool = False) -> None:
    """Checkpoints of the test's own there, good ones unless told otherwise."""
    text = f"veloz-state 1\naccount {account}\ntrades 0\n"
    for seq in places:
        await connection.execute(
            "INSERT INTO checkpoints (account, seq, chain, state, digest) "
            "VALUES (%s, %s, sha256('x'), %s, sha256(sha256('x') || %s::bytea))",
            (account, seq, text, b"" if damaged else text.encode()),
        )


async def kept(connection: Connection, account: str = "main") -> tuple[int, int, int, int]:
    """The first and the last entry of the log and their number, and what is noted as pruned."""
    [row] = await rows(
        connection,
        b"SELECT min(w.seq), max(w.seq), count(*), min(a.pruned_seq) FROM order_wal w JOIN accounts a USING (account) "
        b"WHERE account = %s",
        account,
    )
    return (int(row[0]), int(row[1]), int(row[2]), int(row[3]))


async def test_too_many_go_as_far_as_the_older_checkpoint(
    writer: LogWriter, pruner: Callable[..., Pruner], connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.prune.BATCH", 30)
    await writer.commit("main", 200)
    await checkpoint(connection, 100, 150)
    assert await pruner(Keep(events=120)).prune() == 80
    assert await kept(connection) == (81, 200, 120, 80)
    assert await pruner(Keep(events=10)).prune() == 20
    assert await kept(connection) == (101, 200, 100, 100)
    assert await pruner(Keep(events=10)).prune() == 0
    [(xid,)] = await rows(connection, b"SELECT pruned_xid::text::bigint FROM accounts")
    assert xid == (await rows(connection, b"SELECT min(xid::text::bigint) FROM order_wal"))[0][0]


async def test_what_is_old_goes(writer: LogWriter, pruner: Callable[..., Pruner], connection: Connection) -> None:
    now = time.time_ns()
    for age in (3, 2, 0, 5):  # the clock of the last was wrong: it stays, being behind one that stays
        await writer.commit("main", 10, ts_ns=now - age * DAY_NS)
    await checkpoint(connection, 38, 40)
    assert await pruner(Keep(days=2.5)).prune() == 10
    assert await pruner(Keep(days=1)).prune() == 10
    assert await pruner(Keep(days=1)).prune() == 0
    assert (await kept(connection))[0] == 21


@pytest.mark.parametrize(("good", "bad"), [((), ()), ((90,), ()), ((90,), (95,)), ((95,), (90,)), ((), (90, 95))])
async def test_without_two_good_checkpoints_nothing_goes(
    writer: LogWriter,
    pruner: Callable[..., Pruner],
    connection: Connection,
    good: tuple[int, ...],
    bad: tuple[int, ...],
) -> None:
    await writer.commit("main", 100)
    await checkpoint(connection, *good)
    await checkpoint(connection, *bad, damaged=True)
    assert await pruner(Keep(events=1)).prune() == 0
    assert await kept(connection) == (1, 100, 100, 0)


async def test_who_lost_the_shard_prunes_nothing(
    writer: LogWriter, pruner: Callable[..., Pruner], connection: Connection
) -> None:
    await writer.commit("main", 100)
    await checkpoint(connection, 90, 95)
    stale = pruner(Keep(events=1), 6)
    with pytest.raises(psycopg.Error) as caught:
        await stale.prune()
    assert caught.value.sqlstate == FENCED
    stale._held = dict[str, Any]().__getitem__
    assert await stale.prune() == 0
    assert await kept(connection) == (1, 100, 100, 0)


async def test_two_at_once_do_not_both_prune(
    writer: LogWriter, pruner: Callable[..., Pruner], connection: Connection
) -> None:
    await writer.commit("main", 100)
    await checkpoint(connection, 90, 95)
    one, other = pruner(Keep(events=1)), pruner(Keep(events=1))
    done = await asyncio.gather(one.prune(), other.prune(), return_exceptions=True)
    assert await kept(connection) == (91, 100, 10, 90)
    assert sum(number for number in done if isinstance(number, int)) == 90


async def test_it_runs_by_itself_and_outlives_a_database_that_is_away(
    writer: LogWriter, pruner: Callable[..., Pruner], connection: Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.prune.EVERY_SECONDS", 0.02)
    await writer.commit("main", 100)
    await checkpoint(connection, 90, 95)
    one = pruner(Keep(events=5), 6)
    task = asyncio.create_task(one.run())
    try:
        await asyncio.sleep(0.2)  # fenced again and again
        assert await kept(connection) == (1, 100, 100, 0)
        await connection.execute("UPDATE shards SET epoch = 6")
        await until(lambda: one._metrics.pruned._value.get() == 90)
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


async def test_only_own_accounts_are_pruned(
    writer: LogWriter, pruner: Callable[..., Pruner], connection: Connection
) -> None:
    for account in ("second", "empty"):
        await writer.open(account)
    for account in ("main", "second"):
        await writer.commit(account, 100)
        await checkpoint(connection, 90, 95, account=account)
    assert await pruner(Keep(events=1), 7, "main", "empty").prune() == 90
    assert (await kept(connection, "second"))[2] == 100


# What readers see.


async def test_a_reader_whose_place_was_pruned_gets_one_reset(
    writer: LogWriter, pruner: Callable[..., Pruner], connection: Connection
) -> None:
    await writer.commit("main", 100)
    await checkpoint(connection, 60, 95)
    one = pruner(Keep(events=1))
    assert await one.prune() == 60
    hub = EventHub(one._pool)
    async with reading(hub, "main", 59) as gone, reading(hub, "main", 60) as there, reading(hub, "main", 0) as begun:
        await until(lambda: there.ids == list(range(61, 101)))
        for reader in (gone, begun):
            await until(lambda: bool(gone.items and begun.items))
            assert [(item.type, item.id) for item in reader.items] == [("reset", "100")]
        hub.publish(*await writer.commit("main", 2))
        await until(lambda: gone.ids == begun.ids == [100, 101, 102])
        assert there.ids[-2:] == [101, 102]


async def test_a_reader_of_all_whose_place_was_pruned_gets_one_reset(
    writer: LogWriter, pruner: Callable[..., Pruner], connection: Connection
) -> None:
    """Also one that stalled in the middle of a transaction whose rest of another account was pruned meanwhile."""
    await writer.open("second")
    one = pruner(Keep(events=1), 7, "main")
    hub = EventHub(one._pool)
    async with hub.subscribe_all(None) as stalled, reading(hub, "*") as keeping_up:
        for count in (50, PAGE, 50):
            hub.publish(*await writer.commit("main", count))
        hub.publish(*await writer.commit("second", 10))
        await until(lambda: len(keeping_up.items) == 110 + PAGE)
        cursors = [item.id for item in keeping_up.items]
        await checkpoint(connection, 50 + PAGE, 60 + PAGE)
        page = await stalled.next(1)
        assert [item.id for item in page] == cursors[:PAGE]
        assert await one.prune() == 50 + PAGE
        hub.publish(*await writer.commit("second", 1))
        [reset] = await stalled.next(1)
        assert reset.type == "reset"
        assert await stalled.next(0.05) == []
        hub.publish(*await writer.commit("second", 1))
        await until(lambda: len(keeping_up.items) == 112 + PAGE)
        assert await stalled.next(1) == keeping_up.items[-1:]
        assert {item.type for item in keeping_up.items} == {"account"}, "who keeps up misses nothing"
    for place, missed in ((PAGE + 49, False), (PAGE + 48, True), (0, True), (PAGE + 70, False)):
        async with hub.subscribe_all(cursors[place]) as late:
            first = (await late.next(1))[0]
            assert (first.type == "reset") is missed, place


# The whole, with an engine.


def order(number: int) -> NewOrder:
    return NewOrder(
        account="main",
        client_order_id=f"x{number}",
        side=Side.BUY,
        symbol="BTCUSDT",
        qty=units("0.001"),
        price=units("30000"),
    )


async def test_an_exchange_recovers_from_a_pruned_log(
    running: Running, config: ExchangeConfig, connection: Connection
) -> None:
    metrics = CoreMetrics(CollectorRegistry())
    async with running() as exchange:
        for begin in (0, 20, 40):
            await asyncio.gather(*[exchange.submit(order(begin + n), key_id=None) for n in range(20)])
            await exchange.print("30000", "0.005")
            await write_checkpoints(connection, range(256), least=1)
        tenure = exchange._supervisor.current()
        pruner = Pruner(exchange.pool, Keep(events=1), owned=exchange.owned, held=tenure.held, metrics=metrics)
        assert await pruner.prune() > 100
        await exchange.submit(order(60), key_id=None)
    [(pruned, older, newer)] = await rows(
        connection,
        b"SELECT pruned_seq, (SELECT min(seq) FROM checkpoints), (SELECT max(seq) FROM checkpoints) FROM accounts",
    )
    assert pruned == older < newer
    whole = msgspec.structs.replace(config, verify_from_start=True)
    for settings in (config, whole):
        async with running(settings) as exchange:
            assert exchange.ready, exchange.components()
    await connection.execute("UPDATE checkpoints SET state = 'damaged' WHERE seq = %s", (newer,))
    for settings in (config, whole):
        async with running(settings) as exchange:
            assert exchange.ready, exchange.components()
            assert await exchange.submit(order(3), key_id=None) == await exchange.submit(order(3), key_id=None)
    await connection.execute("UPDATE checkpoints SET state = 'damaged'")
    async with running(whole) as exchange:
        assert "no good checkpoint" in exchange.components()["recovery"].detail
        with pytest.raises(ExecutionUnavailable):
            await exchange.submit(order(99), key_id=None)


async def test_the_whole_log_is_proven_from_the_older_checkpoint(
    running: Running, config: ExchangeConfig, connection: Connection
) -> None:
    """Damage between the two checkpoints is found by that only."""
    async with running() as exchange:
        for begin in (0, 20, 40):
            await asyncio.gather(*[exchange.submit(order(begin + n), key_id=None) for n in range(20)])
            await write_checkpoints(connection, range(256), least=1)
        held = exchange._supervisor.current().held
        metrics = CoreMetrics(CollectorRegistry())
        assert await Pruner(exchange.pool, Keep(events=1), owned=exchange.owned, held=held, metrics=metrics).prune()
    [(older,)] = await rows(connection, b"SELECT min(seq) FROM checkpoints")
    await connection.execute("UPDATE order_wal SET payload = '{}' WHERE seq = %s", (older + 2,))
    async with running() as exchange:
        assert exchange.ready
    async with running(msgspec.structs.replace(config, verify_from_start=True)) as exchange:
        assert not exchange.ready
