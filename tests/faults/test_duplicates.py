"""One order from any number of submits, whatever is killed between them; other content under its id is refused."""

import asyncio
import random
from pathlib import Path

import psycopg
import pytest

from tests.faults.checker import check, report
from tests.faults.facts import Facts, gather
from tests.faults.gateway import Gateway, environment, running
from tests.faults.killer import end_engine
from tests.faults.ledger import Body, Ledger
from tests.faults.load import Client
from tests.faults.waiting import until

COPIES = 100
ROUNDS = 6
ORDER = {"side": "BUY", "symbol": "BTCUSDT", "qty": "0.01", "price": "30000", "type": "LIMIT"}


async def _insist(client: Client, body: Body, expected: int = 200) -> None:
    """Ask until there is an answer that says what became of it."""

    async def answered() -> bool:
        return (await client.post("/api/order", body)).status == expected

    await until(answered, seconds=30)


@pytest.mark.parametrize("victim", ["nothing", "gateway", "engine"])
async def test_a_hundred_submits_of_one_id_are_one_order(
    victim: str, database: str, redis_url: str, engine_binary: Path, tmp_path: Path, rng: random.Random
) -> None:
    with Ledger(tmp_path / "ledger.jsonl") as ledger:
        environ = environment(database, redis_url, engine_binary)
        async with running(tmp_path, environ) as gateway, Client(gateway.url, gateway.headers, ledger) as client:
            for number in range(ROUNDS if victim != "nothing" else 1):
                body = ORDER | {"client_order_id": f"once-{number}"}
                tasks = [asyncio.create_task(_insist(client, body)) for _ in range(COPIES)]
                await asyncio.sleep(rng.uniform(0, 0.1))
                await _break(gateway, victim)
                await asyncio.gather(*tasks)
                await _insist(client, body | {"qty": "0.02"}, 409)
            gateway.kill()
            gateway.start()
            await gateway.ready()
            await _insist(client, ORDER | {"client_order_id": "once-0", "qty": "0.02"}, 409)
            await _insist(client, ORDER | {"client_order_id": "once-0"})
    with psycopg.connect(database) as connection:
        facts = gather(connection, [ledger.path])
    assert not (found := check(facts)), report(found)
    assert len(facts.orders) == (ROUNDS if victim != "nothing" else 1)
    _answers_are_equal(facts)


def _answers_are_equal(facts: Facts) -> None:
    for order_id in facts.orders:
        answers = [call.answer for call in facts.calls if call.order_id == order_id and call.status == 200]
        assert len(answers) >= COPIES
        assert len({repr({k: v for k, v in answer.items() if k != "request_id"}) for answer in answers}) == 1


async def _break(gateway: Gateway, victim: str) -> None:
    if victim == "gateway":
        gateway.kill()
        gateway.start()
        await gateway.ready()
    elif victim == "engine":
        await end_engine(gateway)
