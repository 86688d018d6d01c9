"""Events between gateways: contiguous whatever Redis does, at once while it works, soon while it does not."""

import asyncio
import random
import signal
import statistics
import subprocess
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest
import redis
from prometheus_client import CollectorRegistry
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from app import notices
from app.embedded import valkey_program
from app.fanout import Fanout
from app.hub import EventHub, LogEntry
from app.metrics_core import CoreMetrics
from tests.app.core.conftest import until
from tests.app.core.log_writer import LogWriter, Reader, pooled, reading, writing

AT_ONCE = 0.05  # the median while Redis works: a message, no look
SOON = 0.25  # promised while Redis is away
NOISE = 0.15  # what a busy machine may add to the slowest of many


class Valkey:
    """A server of the test's own, to be killed and stopped."""

    def __init__(self, directory: Path) -> None:
        self._socket = directory / "v.sock"
        self.url = f"unix://{self._socket}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        self._socket.unlink(missing_ok=True)
        settings = {"port": "0", "unixsocket": str(self._socket), "save": "", "appendonly": "no"}
        options = [word for name, value in settings.items() for word in (f"--{name}", value)]
        self._process = subprocess.Popen([valkey_program(), *options], stdout=subprocess.DEVNULL)
        deadline = time.monotonic() + 10
        while not self._answers():
            assert time.monotonic() < deadline
            time.sleep(0.01)

    def signal(self, number: signal.Signals) -> None:
        assert self._process is not None
        self._process.send_signal(number)

    def kill(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def client(self) -> Any:  # noqa: ANN401 - redis's own types are of both its kinds
        return redis.Redis.from_url(self.url)

    def _answers(self) -> bool:
        with self.client() as client:
            try:
                return bool(client.ping())
            except redis.ConnectionError:
                return False


@pytest.fixture
def valkey(tmp_path: Path) -> Iterator[Valkey]:
    server = Valkey(tmp_path)
    server.start()
    try:
        yield server
    finally:
        server.kill()


class Gateway:
    """The events' part of a gateway: a hub, and what joins it to others. It owns what is in `owned`."""

    def __init__(self, hub: EventHub, url: str, *owned: str) -> None:
        self.hub = hub
        self.owned = set(owned)
        self.metrics = CoreMetrics(CollectorRegistry())
        self.fanout = Fanout(hub, self.metrics, url=url, timeout=0.15, retry=0.3, owns=self.owned.__contains__)
        self.slowest_publish = 0.0

    def publish(self, entries: list[LogEntry], xid: int) -> None:
        start = time.monotonic()
        self.hub.publish(entries, xid)
        self.fanout.publish(entries, xid)
        self.slowest_publish = max(self.slowest_publish, time.monotonic() - start)

    def count(self, name: str) -> int:
        found: Any = self.metrics.fanout_gaps if name == "gaps" else self.metrics.fanout_messages.labels(name)
        return int(found._value.get())


Start = Callable[..., Any]


@pytest.fixture
async def gateways(database: str) -> AsyncIterator[Start]:
    """Starts gateways of one database: `await gateways(url, *owned)`."""
    async with AsyncExitStack() as stack:

        async def start(url: str, *owned: str) -> Gateway:
            gateway = Gateway(EventHub(await stack.enter_async_context(pooled(database))), url, *owned)
            await stack.enter_async_context(run(gateway))
            return gateway

        yield start


@asynccontextmanager
async def run(gateway: Gateway) -> AsyncIterator[None]:
    task = asyncio.create_task(gateway.fanout.run())
    try:
        yield
        assert not task.done(), "nothing may end it"
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@pytest.fixture
async def writer(database: str) -> AsyncIterator[LogWriter]:
    async with writing(database) as one:
        await one.open("main")
        yield one


async def joined(one: Gateway, other: Gateway, writer: LogWriter) -> None:
    """Return when a commit of one reached the other by way of Redis, which both know by then."""
    before = other.count("received")
    async with asyncio.timeout(10):
        while other.count("received") == before:
            one.publish(*await writer.commit("main"))
            await asyncio.sleep(0.02)


async def trade(gateway: Gateway, writer: LogWriter, commits: int, pause: float = 0.007) -> dict[str, float]:
    """Commits of one to five events; returns when each event was committed."""
    done: dict[str, float] = {}
    for number in range(commits):
        entries, xid = await writer.commit("main", number % 5 + 1)
        done |= {str(entry.seq): time.monotonic() for entry in entries}
        gateway.publish(entries, xid)
        await asyncio.sleep(pause)
    return done


async def latencies(reader: Reader, done: dict[str, float]) -> list[float]:
    """How long each event took to its reader."""
    await until(lambda: done.keys() <= reader.times.keys())
    return sorted(reader.times[seq] - when for seq, when in done.items())


def whole(reader: Reader, writer: LogWriter) -> bool:
    """Each event of the log once and in order."""
    return reader.ids == list(range(1, writer.heads["main"] + 1))


async def test_events_come_at_once_and_byte_for_byte(
    valkey: Valkey, gateways: Start, writer: LogWriter, database: str
) -> None:
    one, other = await gateways(valkey.url, "main"), await gateways(valkey.url)
    async with reading(other.hub, "main") as reader, reading(one.hub, "main") as own:
        await joined(one, other, writer)
        took = await latencies(reader, await trade(one, writer, 100))
        assert statistics.median(took) < AT_ONCE
        assert whole(reader, writer)
        await until(lambda: whole(own, writer))
        with psycopg.connect(database) as connection:
            logged = connection.execute("SELECT payload::text FROM order_wal ORDER BY seq").fetchall()
        assert [item.payload.decode() for item in reader.items] == [text for (text,) in logged]
        assert reader.items == own.items
    assert one.count("received") == 0, "an owner hears nothing of its own"


async def test_redis_killed_and_back(valkey: Valkey, gateways: Start, writer: LogWriter) -> None:
    one, other = await gateways(valkey.url, "main"), await gateways(valkey.url)
    async with reading(other.hub, "main") as reader:
        await joined(one, other, writer)
        trading = asyncio.create_task(trade(one, writer, 150))
        await asyncio.sleep(0.3)
        valkey.kill()
        took = await latencies(reader, await trading)
        assert took[-1] < SOON + NOISE
        away = await latencies(reader, await trade(one, writer, 100, 0.013))
        assert statistics.median(away) < SOON
        assert away[-1] < SOON + NOISE
        valkey.start()
        await joined(one, other, writer)
        took = await latencies(reader, await trade(one, writer, 50))
        assert statistics.median(took) < AT_ONCE
        assert whole(reader, writer)
    assert one.slowest_publish < 0.05


async def test_redis_hung(valkey: Valkey, gateways: Start, writer: LogWriter, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its listeners cannot tell it from a quiet one before a ping fails; nobody waits for that."""
    monkeypatch.setattr("app.listener.PING_SECONDS", 0.4)
    one, other = await gateways(valkey.url, "main"), await gateways(valkey.url)
    async with reading(other.hub, "main") as reader:
        await joined(one, other, writer)
        valkey.signal(signal.SIGSTOP)
        away = await latencies(reader, await trade(one, writer, 150, 0.01))
        assert statistics.median(away) < SOON
        assert away[-1] < SOON + NOISE
        valkey.signal(signal.SIGCONT)
        await joined(one, other, writer)  # and what it kept comes late, and is skipped
        await latencies(reader, await trade(one, writer, 50))
        assert whole(reader, writer)
    assert one.slowest_publish < 0.05


async def test_a_quiet_connection_is_kept(
    valkey: Valkey, gateways: Start, writer: LogWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("app.listener.PING_SECONDS", 0.05)
    one, other = await gateways(valkey.url, "main"), await gateways(valkey.url)
    async with reading(other.hub, "main"):
        await joined(one, other, writer)
        with valkey.client() as client:
            await until(lambda: client.info("commandstats").get("cmdstat_ping", {}).get("calls", 0) > 10)
            assert client.info("clients")["pubsub_clients"] == 1
            [name] = [one["id"] for one in client.client_list() if one["sub"] != "0"]
            calls = client.info("commandstats")["cmdstat_ping"]["calls"]
            await until(lambda: client.info("commandstats")["cmdstat_ping"]["calls"] > calls + 5)
            assert [one["id"] for one in client.client_list() if one["sub"] != "0"] == [name]


async def test_messages_lost_at_random(
    valkey: Valkey, gateways: Start, writer: LogWriter, monkeypatch: pytest.MonkeyPatch
) -> None:
    dice = random.Random(4)

    def some(realm: str, entries: list[LogEntry], xid: int) -> list[notices.Message]:
        return [one for one in notices.messages(realm, entries, xid) if dice.random() < 0.7]

    one, other = await gateways(valkey.url, "main"), await gateways(valkey.url)
    async with reading(other.hub, "main") as reader:
        await joined(one, other, writer)
        monkeypatch.setattr("app.announcer.messages", some)
        took = await latencies(reader, await trade(one, writer, 200))
        assert whole(reader, writer)
        assert statistics.median(took) < AT_ONCE
        assert took[-1] < SOON + NOISE
    assert other.count("gaps") > 10


@pytest.mark.parametrize("url", ["", "unix:///nowhere/v.sock"])
async def test_a_publisher_cut_from_redis(valkey: Valkey, gateways: Start, writer: LogWriter, url: str) -> None:
    one, other = await gateways(url, "main"), await gateways(valkey.url)
    async with reading(other.hub, "main") as reader:
        took = await latencies(reader, await trade(one, writer, 150, 0.011))
        assert whole(reader, writer)
        assert statistics.median(took) < SOON
        assert took[-1] < SOON + NOISE
    assert other.count("received") == 0


@pytest.mark.parametrize("with_redis", [True, False])
async def test_an_admin_anywhere_sees_every_commit_once(
    valkey: Valkey, gateways: Start, writer: LogWriter, database: str, *, with_redis: bool
) -> None:
    url = valkey.url if with_redis else ""
    one, other, third = await gateways(url, "main"), await gateways(url, "second"), await gateways(url)
    await writer.open("second")
    async with writing(database) as second, reading(third.hub, "*") as reader, reading(one.hub, "*") as near:
        second.heads = {"second": 0}
        done = 0.0
        for _ in range(60):
            one.publish(*await writer.commit("main", 2))
            other.publish(*await second.commit("second", 3))
            done = time.monotonic()
            await asyncio.sleep(0.005)
        await until(lambda: len(reader.items) >= 300)
        assert max(reader.times.values()) - done < SOON + NOISE
        await until(lambda: len(near.items) >= 300)
        assert near.items == reader.items
        with psycopg.connect(database) as connection:
            logged = connection.execute("SELECT payload::text FROM order_wal ORDER BY xid, account, seq").fetchall()
        assert [item.payload.decode() for item in reader.items] == [text for (text,) in logged]
    if with_redis:
        await until(lambda: third.count("received") > 0)


async def test_what_is_not_ours_is_left_alone(valkey: Valkey, gateways: Start, writer: LogWriter) -> None:
    one, other = await gateways(valkey.url, "main"), await gateways(valkey.url)
    async with reading(other.hub, "main") as reader, reading(other.hub, "*"):
        await joined(one, other, writer)
        realm = other.fanout._realm()
        assert realm is not None
        after = writer.heads["main"] + 1
        planted = [("account", b"{}")]
        bad: list[tuple[str, bytes]] = [
            ("veloz:events:main", notices.encode(notices.Notice("another", "main", after, planted))),
            ("veloz:events:main", notices.encode(notices.Notice(realm, "second", after, planted))),
            ("veloz:events:main", notices.encode(notices.Notice(realm, "main", -5, planted))),
            ("veloz:events:main", notices.encode([realm, "main", after, [["account"]]])),
            ("veloz:events:main", notices.encode([realm, "main", str(after), []])),
            ("veloz:events:main", b"\xc1"),
            ("veloz:events:main", b""),
            ("veloz:events:main", b"\xff" * 100_000),
            ("veloz:commits", notices.encode(notices.Commit("another", 2**62))),
            ("veloz:commits", b"17"),
        ]
        with valkey.client() as client:
            for channel, content in bad:
                assert client.publish(channel, content) == 1
        await until(lambda: other.count("ignored") == len(bad))
        assert other.hub.last_xid < 2**62
        await latencies(reader, await trade(one, writer, 5))
        assert whole(reader, writer)


async def test_a_great_commit_is_many_messages(valkey: Valkey, gateways: Start, writer: LogWriter) -> None:
    one, other = await gateways(valkey.url, "main"), await gateways(valkey.url)
    sizes: list[int] = []
    with valkey.client() as client, client.pubsub() as listener:
        listener.subscribe("veloz:events:main")
        async with reading(other.hub, "main") as reader:
            await joined(one, other, writer)
            one.publish(*await writer.commit("main", 4000, pad=1000))
            one.publish(*await writer.commit("main", 1, pad=2 << 20))
            one.publish(*await writer.commit("main", 3))
            await until(lambda: len(reader.items) == writer.heads["main"])
            assert whole(reader, writer)
            while (message := listener.get_message(timeout=0.2)) is not None:
                sizes += [len(message["data"])] if message["type"] == "message" else []
        assert max(sizes) < 1 << 20
        assert sum(sizes) > 4_000_000


async def test_channels_are_left_with_the_last_reader(valkey: Valkey, gateways: Start, writer: LogWriter) -> None:
    other = await gateways(valkey.url, "mine")
    await writer.open("mine")
    with valkey.client() as client:

        def heard(channel: str) -> bool:
            return bool(client.pubsub_numsub(channel)[0][1])

        async with reading(other.hub, "main"):
            async with reading(other.hub, "main"), reading(other.hub, "mine"), reading(other.hub, "*"):
                await until(lambda: heard("veloz:events:main") and heard("veloz:commits"))
                assert not heard("veloz:events:mine")
                other.owned.clear()  # its shard left
                other.hub.forget(["mine"])
                await until(lambda: heard("veloz:events:mine"))
            await until(lambda: not heard("veloz:events:mine") and not heard("veloz:commits"))
            assert heard("veloz:events:main")
        await until(lambda: not heard("veloz:events:main"))
    assert other.hub.heads() == {}


async def test_a_database_that_is_away_is_waited_for(
    valkey: Valkey, gateways: Start, writer: LogWriter, postgres: str, database: str
) -> None:
    """What it committed before comes by Redis, gaps when it is back."""
    one, other = await gateways(valkey.url, "main"), await gateways(valkey.url)
    name = sql.Identifier(str(conninfo_to_dict(database)["dbname"]))
    async with reading(other.hub, "main") as reader:
        await joined(one, other, writer)
        ready = await writer.commit("main")
        lost = await writer.commit("main")
        late = await writer.commit("main")
        with psycopg.connect(postgres, autocommit=True) as server:
            server.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS false").format(name))
            server.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (name._obj[0],))
            one.publish(*ready)
            before = other.count("received")
            await until(lambda: other.count("received") > before)
            one.publish(*late)
            await until(lambda: other.count("gaps") > 0)
            await asyncio.sleep(0.5)
            assert int(reader.items[-1].id or 0) < lost[0][0].seq
            server.execute(sql.SQL("ALTER DATABASE {} ALLOW_CONNECTIONS true").format(name))
        await until(lambda: whole(reader, writer))
