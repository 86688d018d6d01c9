"""No order is lost or doubled when the engine dies; it is back at once, and restored."""

import asyncio
import random
import time
from pathlib import Path

import pytest

from tests.faults.campaign import campaign
from tests.faults.checker import check, report
from tests.faults.gateway import Gateway, environment, running
from tests.faults.killer import EngineKill, end_engine, kill_engines
from tests.faults.ledger import Ledger
from tests.faults.load import Client

RESPAWN_SECONDS = 1.0
READY_SECONDS = 3.0
OPEN_ORDERS = 10_000
SENDERS = 64


@pytest.mark.timeout(1200)
async def test_no_order_is_lost_or_doubled_by_kills_of_the_engine(
    database: str, redis_url: str, engine_binary: Path, tmp_path: Path, seed: int, rng: random.Random, kills: int
) -> None:
    ends: list[EngineKill] = []

    async def break_it(gateway: Gateway) -> None:
        ends.extend(await kill_engines(gateway, rng, kills))
        assert gateway.starts == 1

    result = await campaign(tmp_path, environment(database, redis_url, engine_binary), break_it, seed=seed)
    killed = [end for end in ends if end.signal.name == "SIGKILL"]
    slowest = max(end.respawned for end in killed), max(end.ready for end in killed)
    print(f"{len(ends)} ends, longest respawn {slowest[0]:.2f} s, longest until ready {slowest[1]:.2f} s")  # noqa: T201
    print(result.summary())  # noqa: T201
    assert not (found := check(result.facts)), report(found)
    assert slowest[0] <= RESPAWN_SECONDS
    assert len(result.facts.orders) > 5 * kills, "too few orders for the kills to have met any"


async def test_ten_thousand_open_orders_are_restored_in_time(
    database: str, redis_url: str, engine_binary: Path, tmp_path: Path
) -> None:
    environ = environment(database, redis_url, engine_binary)
    with Ledger(tmp_path / "ledger.jsonl") as ledger:
        async with running(tmp_path, environ) as gateway, Client(gateway.url, gateway.headers, ledger) as client:
            started = time.monotonic()
            await _fill_book(client)
            print(f"{OPEN_ORDERS} orders in {time.monotonic() - started:.1f} s")  # noqa: T201
            end = await end_engine(gateway)
            gateway.kill()
            gateway.start()
            restart = await gateway.ready()
    print(f"engine: respawn {end.respawned:.2f} s, ready {end.ready:.2f} s; gateway: ready {restart:.2f} s")  # noqa: T201
    assert end.respawned <= RESPAWN_SECONDS
    assert end.ready <= READY_SECONDS


async def _fill_book(client: Client) -> None:
    numbers = iter(range(OPEN_ORDERS))

    async def sender() -> None:
        for number in numbers:
            order = {"client_order_id": f"rest-{number}", "side": "BUY", "symbol": "BTCUSDT", "type": "LIMIT"}
            call = await client.post("/api/order", order | {"qty": "0.001", "price": str(10_000 + number % 5_000)})
            assert call.status == 200

    await asyncio.gather(*(sender() for _ in range(SENDERS)))
