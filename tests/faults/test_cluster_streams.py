"""A client of the stream comes back to any gateway and has missed nothing, seen nothing twice."""

import asyncio
import random
import re
import time
from pathlib import Path

import aiohttp
import psycopg
import pytest

from tests.faults.campaign import background
from tests.faults.checker import report
from tests.faults.cluster import Cluster
from tests.faults.fleet import campaign
from tests.faults.gateway import Gateway
from tests.faults.havoc import kill_gateways
from tests.faults.ledger import Ledger
from tests.faults.load import Client
from tests.faults.scale import FULL, Figure, scaled
from tests.faults.stream import Follower

KILLS = 100
EVENTS = scaled(3_000, 10_000)
SENDERS = 64
REPLAY_SECONDS = 1.0  # for 10,000


@pytest.mark.skipif(
    not FULL, reason="VELOZ_FAULT_FULL=1 asks for it; streams are followed in test_cluster_kills.py too"
)
@pytest.mark.timeout(1200)
async def test_streams_have_no_gap_and_no_duplicate_when_gateways_are_killed(
    cluster: Cluster, tmp_path: Path, seed: int, rng: random.Random, figure: Figure
) -> None:
    async def break_it(cluster: Cluster) -> None:
        await kill_gateways(cluster, rng, KILLS)

    await cluster.start()
    result = await campaign(cluster, tmp_path, break_it, seed=seed, accounts=3, rate=60, followers=4)
    figure("gateways killed", KILLS)
    figure("run", result.summary())
    assert not (found := result.violations()), report(found)
    assert len(result.gaps) > KILLS


async def test_ten_thousand_events_are_replayed_in_a_second_by_any_gateway(
    own_cluster: Cluster, tmp_path: Path, figure: Figure
) -> None:
    cluster = own_cluster
    await cluster.start()
    headers = await cluster.open_account("replayed")
    with Ledger(tmp_path / "ledger.jsonl") as ledger:
        async with Client(cluster.gateways[0].url, headers, ledger) as client:
            head = await _fill_log(cluster, client)
    slowest = 0.0
    for gateway in cluster.gateways:
        seconds, ids = await _replay(gateway, headers, head)
        slowest = max(slowest, seconds)
        assert ids == list(range(1, head + 1))
    figure(f"seconds to replay {head} events, the slowest gateway", slowest)
    assert slowest <= REPLAY_SECONDS * max(1.0, head / 10_000)
    await _pruned_is_reset(cluster, headers, head)


async def _replay(gateway: Gateway, headers: dict[str, str], head: int) -> tuple[float, list[int]]:
    """Seconds until all events were received, and their ids; read as bytes, because a client that parses takes longer."""
    received = b""
    started = time.monotonic()
    async with (
        aiohttp.ClientSession(headers={**headers, "Last-Event-ID": "0"}, timeout=aiohttp.ClientTimeout(30)) as session,
        session.get(f"{gateway.url}/api/stream") as answer,
    ):
        async for data in answer.content.iter_any():
            received += data
            if f"\nid: {head}\n".encode() in received[-10_000:]:
                break
    return time.monotonic() - started, [int(found) for found in re.findall(rb"^id: (\d+)$", received, re.MULTILINE)]


async def _pruned_is_reset(cluster: Cluster, headers: dict[str, str], head: int) -> None:
    """Half the log goes: who asks for it is told so, who asks for the rest gets it. The account cannot be recovered then."""
    half = head // 2
    with psycopg.connect(cluster.database) as connection:
        xid = connection.execute("SELECT xid::text FROM order_wal WHERE account = 'replayed' AND seq = %s", (half,))
        pruned = (half, *(xid.fetchone() or ()))
        connection.execute("DELETE FROM order_wal WHERE account = 'replayed' AND seq <= %s", (half,))
        change = "UPDATE accounts SET pruned_seq = %s, pruned_xid = %s::text::xid8 WHERE account = 'replayed'"
        assert connection.execute(change, pruned).rowcount == 1
    for gateway in cluster.gateways:
        early = Follower(gateway.url, headers, last_id="1")
        late = Follower(gateway.url, headers, last_id=str(half))
        async with background(early.run(), late.run()):
            await early.reached(head)
            await late.reached(head)
        assert [(event.type, event.id) for event in early.events] == [("reset", str(head))]
        assert [event.id for event in late.events] == [str(seq) for seq in range(half + 1, head + 1)]


async def _fill_log(cluster: Cluster, client: Client) -> int:
    """Orders and cancels until there are EVENTS in the log; returns how many there are."""
    head = 0
    numbers = iter(range(EVENTS))

    async def sender() -> None:
        nonlocal head
        for number in numbers:
            order = {"client_order_id": f"o-{number}", "side": "BUY", "symbol": "BTCUSDT", "type": "LIMIT"}
            await client.post("/api/order", order | {"qty": "0.001", "price": "10000"})
            await client.post("/api/cancel", {"client_order_id": order["client_order_id"]})
            if head >= EVENTS:
                return
            if number % 100 == 0:
                head = await _head(cluster)

    await asyncio.gather(*(sender() for _ in range(SENDERS)))
    return await _head(cluster)


async def _head(cluster: Cluster) -> int:
    async with await psycopg.AsyncConnection.connect(cluster.database) as connection:
        cursor = await connection.execute("SELECT seq FROM accounts WHERE account = 'replayed'")
        row = await cursor.fetchone()
    return int(row[0]) if row else 0
