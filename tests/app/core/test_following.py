"""What a hub is told of an account, and when, does not matter: its subscribers see the log."""

import asyncio
import random
from collections.abc import AsyncIterator

import pytest

from app.errors import ExecutionUnavailable, NotFound
from app.hub import EventHub, LogEntry
from app.ring import PAGE
from tests.app.core.conftest import until
from tests.app.core.log_writer import LogWriter, pooled, reading, writing


@pytest.fixture
async def hub(database: str) -> AsyncIterator[EventHub]:
    async with pooled(database) as pool:
        yield EventHub(pool)


@pytest.fixture
async def writer(database: str) -> AsyncIterator[LogWriter]:
    async with writing(database) as one:
        await one.open("main")
        yield one


def items(entries: list[LogEntry]) -> list[tuple[str, bytes]]:
    return [(entry.type, entry.payload) for entry in entries]


async def test_a_head_ahead_of_what_is_published(hub: EventHub, writer: LogWriter) -> None:
    """The commit is done, its publication comes when somebody has begun to follow."""
    entries, xid = await writer.commit("main", 5)
    async with reading(hub, "main", 2) as late, reading(hub, "main", None) as newest, reading(hub, "main", 9) as future:
        await until(lambda: late.ids == [3, 4, 5])
        await until(lambda: [item.type for item in future.items] == ["reset"])
        hub.publish(entries[3:], xid)
        more, xid = await writer.commit("main", 2)
        hub.publish(more, xid)
        await until(lambda: late.ids == [3, 4, 5, 6, 7])
        await until(lambda: newest.ids == [6, 7])
        await until(lambda: future.ids == [5, 6, 7])


async def test_a_commit_while_its_reader_asks_for_the_head(
    hub: EventHub, writer: LogWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    entries, xid = await writer.commit("main", 3)
    head = hub.head

    async def slow(account: str) -> int:
        found = await head(account)
        hub.publish(*await writer.commit("main", 2))
        return found

    monkeypatch.setattr(hub, "head", slow)
    async with reading(hub, "main", 1) as reader, reading(hub, "main", None) as newest:
        hub.publish(entries, xid)
        await until(lambda: reader.ids == [2, 3, 4, 5])
        hub.publish(*await writer.commit("main"))
        await until(lambda: reader.ids[-1] == 6)
        assert newest.ids == [6]


@pytest.mark.parametrize("seed", range(5))
async def test_any_mixture_of_sources(hub: EventHub, writer: LogWriter, seed: int) -> None:
    """Each commit is published, received in part, noticed, several of these, or not at all; late ones too."""
    dice = random.Random(seed)
    kept: list[tuple[list[LogEntry], int]] = []
    async with reading(hub, "main") as one, reading(hub, "main") as other:
        for _ in range(80):
            kept.append(await writer.commit("main", dice.randint(1, 4)))
            for _ in range(dice.randint(0, 3)):
                entries, xid = dice.choice(kept[-4:])
                match dice.randrange(4):
                    case 0:
                        hub.publish(entries, xid)
                    case 1:
                        start = dice.randrange(len(entries))
                        hub.receive("main", entries[start].seq, items(entries[start:]))
                    case 2:
                        hub.noticed({"main": dice.choice(entries).seq})
                    case _:
                        hub.resume({"main": entries[-1].seq, "other": 9})
            if dice.random() < 0.3:
                await asyncio.sleep(0.002)
        hub.noticed({"main": writer.heads["main"]})
        everything = list(range(1, writer.heads["main"] + 1))
        await until(lambda: one.ids[-1:] == everything[-1:] and other.ids[-1:] == everything[-1:])
        assert one.ids == other.ids == everything
        assert {item.type for item in one.items} == {"account"}


async def test_what_nobody_follows_is_not_kept(hub: EventHub, writer: LogWriter) -> None:
    hub.publish(*await writer.commit("main"))
    assert hub.heads() == {}
    async with reading(hub, "main"):
        async with reading(hub, "main", None):
            assert hub.heads() == {"main": 1}
        hub.forget(["main"])
        assert hub.heads() == {"main": 1}
    assert hub.heads() == {}
    with pytest.raises(NotFound):
        async with hub.subscribe("nobody", None):
            pass
    assert hub.heads() == {}


async def test_without_a_database_there_is_no_new_stream(hub: EventHub) -> None:
    await hub._pool.close()
    with pytest.raises(ExecutionUnavailable):
        async with hub.subscribe("main", None):
            pass
    assert hub.heads() == {}


async def test_a_gap_is_told_and_nothing_behind_it_taken(hub: EventHub, writer: LogWriter) -> None:
    entries, _ = await writer.commit("main", 4)
    assert hub.receive("main", 1, items(entries)), "nobody follows it"
    async with reading(hub, "main", None) as reader:
        more, _ = await writer.commit("main", PAGE + 7)
        assert not hub.receive("main", 6, items(more[1:]))
        assert hub.heads() == {"main": 4}
        assert hub.receive("main", 4, items(entries[3:] + more))
        await until(lambda: reader.ids == list(range(5, PAGE + 12)))


async def test_an_account_without_events_keeps_no_reader_of_all_awake(hub: EventHub, writer: LogWriter) -> None:
    async with reading(hub, "*"):
        before = hub.last_xid
        hub.publish([], 2**62)
        assert hub.last_xid == before
    await writer.commit("main")
