"""One order from any number of submits over all gateways, whatever is killed between them; other content is refused."""

import asyncio
import random
from pathlib import Path

import psycopg

from tests.faults.checker import check, report
from tests.faults.cluster import Cluster
from tests.faults.facts import gather
from tests.faults.killer import end_engine
from tests.faults.ledger import Body, Ledger
from tests.faults.load import Client
from tests.faults.scale import Figure, scaled
from tests.faults.waiting import until

COPIES = 100
ROUNDS = scaled(4, 40)
ORDER = {"side": "BUY", "symbol": "BTCUSDT", "qty": "0.01", "price": "30000", "type": "LIMIT"}


async def test_a_hundred_submits_of_one_id_over_all_gateways_are_one_order(
    cluster: Cluster, tmp_path: Path, seed: int, rng: random.Random, figure: Figure
) -> None:
    await cluster.start()
    account = f"once-{seed}"
    headers = await cluster.open_account(account)

    def any_gateway() -> str:
        return rng.choice([cluster.url, *cluster.urls()])

    with Ledger(tmp_path / "ledger.jsonl") as ledger:
        async with Client(any_gateway, headers, ledger) as client:
            for number in range(ROUNDS):
                body = ORDER | {"client_order_id": f"once-{number}"}
                tasks = [asyncio.create_task(_insist(client, body)) for _ in range(COPIES)]
                await asyncio.sleep(rng.uniform(0, 0.1))
                await _break(cluster, rng)
                await asyncio.gather(*tasks)
                await _insist(client, body | {"qty": "0.02"}, 409)
    with psycopg.connect(cluster.database) as connection:
        facts = gather(connection, [ledger.path], account=account)
    figure("ids, submits", f"{ROUNDS} {len(facts.calls)}")
    assert not (found := check(facts)), report(found)
    assert len(facts.orders) == ROUNDS
    for order_id in facts.orders:
        answers = [call.answer for call in facts.calls if call.order_id == order_id and call.status == 200]
        assert len(answers) >= COPIES
        assert len({repr({k: v for k, v in answer.items() if k != "request_id"}) for answer in answers}) == 1


async def _insist(client: Client, body: Body, expected: int = 200) -> None:
    """Ask until there is an answer that says what became of it."""

    async def answered() -> bool:
        return (await client.post("/api/order", body)).status == expected

    await until(answered, seconds=60, every=0.1)


async def _break(cluster: Cluster, rng: random.Random) -> None:
    victim = rng.choice(cluster.gateways)
    match rng.choice(["nothing", "gateway", "gateway", "engine"]):
        case "gateway":
            victim.kill()
            victim.start()
        case "engine":
            if victim.engine() is not None:
                await end_engine(victim, seconds=30)
        case _:
            return
