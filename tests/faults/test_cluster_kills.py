"""No order is lost or doubled in a cluster, whatever in it is killed, stopped or cut off."""

import asyncio
import random
from pathlib import Path

import pytest

from tests.faults.checker import report
from tests.faults.cluster import Cluster
from tests.faults.fleet import campaign
from tests.faults.havoc import Havoc, kill_engines, kill_gateways
from tests.faults.killer import EngineKill, end_engine
from tests.faults.ledger import Ledger
from tests.faults.load import Client
from tests.faults.scale import FULL, Figure, spread

RESPAWN_SECONDS = 1.0
READY_SECONDS = 3.0
OPEN_ORDERS = 10_000
SENDERS = 64


@pytest.mark.timeout(1800)
async def test_no_order_is_lost_or_doubled_by_kills_of_gateways(
    cluster: Cluster, tmp_path: Path, seed: int, rng: random.Random, cluster_kills: int, figure: Figure
) -> None:
    starts: list[float] = []

    async def break_it(cluster: Cluster) -> None:
        starts.extend(await kill_gateways(cluster, rng, cluster_kills))

    await cluster.start()
    result = await campaign(cluster, tmp_path, break_it, seed=seed)
    figure("gateways killed", cluster_kills)
    figure("until ready, s", spread(starts))
    figure("run", result.summary())
    assert not (found := result.violations()), report(found)
    assert result.orders() > 5 * cluster_kills, "too few orders for the kills to have met any"
    assert len(result.gaps) > cluster_kills / 2, "the followers did not come back"


@pytest.mark.timeout(1800)
async def test_no_order_is_lost_or_doubled_by_kills_of_engines(
    cluster: Cluster, tmp_path: Path, seed: int, rng: random.Random, cluster_kills: int, figure: Figure
) -> None:
    ends: list[EngineKill] = []

    async def break_it(cluster: Cluster) -> None:
        ends.extend(await kill_engines(cluster, rng, cluster_kills))

    await cluster.start()
    result = await campaign(cluster, tmp_path, break_it, seed=seed)
    respawned, ready = [end.respawned for end in ends], [end.ready for end in ends]
    figure("engines killed", cluster_kills)
    figure("respawn, s", spread(respawned))
    figure("until ready, s", spread(ready))
    figure("run", result.summary())
    assert not (found := result.violations()), report(found)
    assert max(respawned) <= RESPAWN_SECONDS
    assert max(ready) <= READY_SECONDS
    assert result.orders() > 5 * cluster_kills, "too few orders for the kills to have met any"


@pytest.mark.timeout(1800)
async def test_no_order_is_lost_or_doubled_whatever_breaks(
    cluster: Cluster, tmp_path: Path, seed: int, rng: random.Random, cluster_kills: int, figure: Figure
) -> None:
    havoc = Havoc(cluster, rng)
    await cluster.start()
    result = await campaign(cluster, tmp_path, lambda _: havoc.run(cluster_kills), seed=seed)
    figure("faults", dict(sorted(havoc.done.items())))
    figure("run", result.summary())
    assert not (found := result.violations()), report(found)
    assert result.orders() > 2 * cluster_kills, "too few orders for the faults to have met any"


@pytest.mark.skipif(not FULL, reason="VELOZ_FAULT_FULL=1 asks for it; test_engine_kills.py has it with one gateway")
@pytest.mark.timeout(600)
async def test_ten_thousand_open_orders_are_restored_in_time(cluster: Cluster, tmp_path: Path, figure: Figure) -> None:
    await cluster.start()
    headers = await cluster.open_account("full-book")
    owner = await cluster.owner_of("full-book")
    assert owner is not None
    with Ledger(tmp_path / "ledger.jsonl") as ledger:
        async with Client(owner.url, headers, ledger) as client:
            await _fill_book(client)
    end = await end_engine(owner)
    figure("10,000 open orders: respawn and ready, s", f"{end.respawned:.2f} {end.ready:.2f}")
    assert await cluster.owner_of("full-book") is owner, "the account moved"
    assert end.respawned <= RESPAWN_SECONDS
    assert end.ready <= READY_SECONDS
    await cluster.ask("POST", "/api/cancel_all", {"account": "full-book"})


async def _fill_book(client: Client) -> None:
    numbers = iter(range(OPEN_ORDERS))

    async def sender() -> None:
        for number in numbers:
            order = {"client_order_id": f"rest-{number}", "side": "BUY", "symbol": "BTCUSDT", "type": "LIMIT"}
            call = await client.post("/api/order", order | {"qty": "0.001", "price": str(10_000 + number % 5_000)})
            assert call.status == 200

    await asyncio.gather(*(sender() for _ in range(SENDERS)))
