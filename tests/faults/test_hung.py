"""A gateway that hangs leaves the rotation, gets nothing twice, and writes nothing when it wakes too late."""

import asyncio
import json
import random
import signal
import time
from collections import Counter
from pathlib import Path

import psycopg
import pytest

from stacks.balancer import Kind
from tests.faults.checker import check, report
from tests.faults.cluster import Cluster, Shape
from tests.faults.facts import gather
from tests.faults.fleet import campaign
from tests.faults.hanging import OUT_SECONDS, ask_anew
from tests.faults.havoc import LEASE_SECONDS, stop_and_go
from tests.faults.ledger import Ledger
from tests.faults.load import Client
from tests.faults.scale import FULL, Figure
from tests.faults.shard_checker import check_shards
from tests.faults.waiting import until

HANGS_SECONDS = 6.5
ORDER = {"side": "BUY", "symbol": "BTCUSDT", "qty": "0.01", "price": "30000", "type": "LIMIT"}


BALANCERS: list[Kind] = ["nginx", "haproxy"] if FULL else ["nginx"]
SHAPES = [Shape(balancer=kind, tapped=True) for kind in BALANCERS]


@pytest.mark.parametrize("own_cluster", SHAPES, indirect=True, ids=BALANCERS)
async def test_a_hung_gateway_leaves_the_rotation_and_no_post_is_sent_again(
    own_cluster: Cluster, tmp_path: Path, seed: int, rng: random.Random, figure: Figure
) -> None:
    tapped, hung = own_cluster, list[float]()

    async def hang(cluster: Cluster) -> None:
        victim = rng.choice(cluster.gateways)
        asking = asyncio.create_task(ask_anew(cluster.url, hung))
        try:
            await stop_and_go(victim, HANGS_SECONDS)
        finally:
            asking.cancel()
        await cluster.settled()

    await tapped.start()
    result = await campaign(tapped, tmp_path, hang, seed=seed, by_balancer=True)
    figure("run", result.summary())
    figure("seconds from SIGSTOP to the last request that the hung gateway got", max(hung))
    assert not (found := result.violations()), report(found)
    assert max(hung) <= OUT_SECONDS
    calls = Counter(
        (call.path, json.dumps(call.body)) for facts in result.accounts for call in facts.calls if call.body
    )
    sent = {(path, body): count for (path, body), count in calls.items() if path == "/api/order"}
    got = Counter[str]()
    for tap in tapped.taps:
        text = tap.read_bytes().decode(errors="replace")
        for _, body in sent:
            got[body] += text.count(body)
    again = {body: (sent[path, body], got[body]) for path, body in sent if got[body] > sent[path, body]}
    figure("POSTs sent, got, sent again", f"{sum(sent.values())} {got.total()} {len(again)}")
    assert got.total() > sum(sent.values()) / 2, "the taps saw nothing"
    assert not again


async def test_a_gateway_that_wakes_after_its_lease_writes_nothing(
    cluster: Cluster, tmp_path: Path, seed: int, figure: Figure
) -> None:
    await cluster.start()
    account = f"fenced-{seed}"
    headers = await cluster.open_account(account)
    sleeper = await cluster.owner_of(account)
    assert sleeper is not None
    other = next(gateway for gateway in cluster.gateways if gateway is not sleeper)
    with Ledger(tmp_path / "one.jsonl") as one, Ledger(tmp_path / "other.jsonl") as two:
        async with Client(sleeper.url, headers, one) as to_sleeper, Client(other.url, headers, two) as to_other:
            assert await _submit(to_sleeper, "before") == 200
            waiting = [asyncio.create_task(_submit(to_sleeper, f"in-flight-{number}")) for number in range(20)]
            waiting += [asyncio.create_task(_submit(to_other, f"forwarded-{number}")) for number in range(20)]
            await asyncio.sleep(0.01)
            sleeper.kill(signal.SIGSTOP)
            started = time.monotonic()
            asleep = [asyncio.create_task(_submit(to_sleeper, f"asleep-{number}")) for number in range(20)]

            async def taken_over() -> bool:
                return await _submit(to_other, "taken-over") == 200

            try:
                await until(taken_over, seconds=LEASE_SECONDS + 10, every=0.1)
                figure("seconds until a hung gateway's account trades elsewhere", time.monotonic() - started)
            finally:
                sleeper.kill(signal.SIGCONT)
            assert set(await asyncio.gather(*waiting)) <= {200, 503, 504, None}
            # What had reached the sleeper's socket may be forwarded to the new owner when it wakes.
            assert set(await asyncio.gather(*asleep)) <= {200, 503, 504, None}
            await cluster.settled()
            assert await _submit(to_sleeper, "after") == 200
            assert await _submit(to_other, "still-here") == 200
    with psycopg.connect(cluster.database) as connection:
        facts = gather(connection, [one.path, two.path], account=account)
    assert not (found := check(facts) + check_shards([facts])), report(found)
    assert {"before", "taken-over", "after", "still-here"} <= set(facts.orders)
    first = next(row for row in facts.log if row.client_order_id == "taken-over")
    assert first.epoch > facts.log[0].epoch


async def _submit(client: Client, order_id: str) -> int | None:
    return (await client.post("/api/order", ORDER | {"client_order_id": order_id})).status
