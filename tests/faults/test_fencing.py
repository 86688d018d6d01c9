"""A gateway that hung past its lease can write nothing when it wakes: another owns its accounts by then."""

import asyncio
import signal
from pathlib import Path

import psycopg

from tests.faults.checker import check, report
from tests.faults.facts import Facts, gather
from tests.faults.gateway import Gateway, environment, running
from tests.faults.ledger import Ledger
from tests.faults.load import Client
from tests.faults.waiting import until

LEASE_SECONDS = 3
ORDER = {"side": "BUY", "symbol": "BTCUSDT", "qty": "0.01", "price": "30000", "type": "LIMIT"}


async def test_a_gateway_that_wakes_after_its_lease_is_fenced_off(
    database: str, redis_url: str, engine_binary: Path, tmp_path: Path
) -> None:
    first, second = (_directory(tmp_path, name) for name in ("first", "second"))
    environ = environment(database, redis_url, engine_binary)
    with Ledger(first / "ledger.jsonl") as one, Ledger(second / "ledger.jsonl") as other:
        async with (
            running(first, environ | {"VELOZ_GATEWAY_ID": "first"}) as sleeper,
            Client(sleeper.url, sleeper.headers, one) as to_sleeper,
        ):
            assert await _submit(to_sleeper, "before") == 200
            sleeper.kill(signal.SIGSTOP)
            waiting = [asyncio.create_task(_submit(to_sleeper, f"asleep-{number}")) for number in range(20)]
            async with (
                running(second, environ | {"VELOZ_GATEWAY_ID": "second"}, wait=False) as taker,
                Client(taker.url, taker.headers, other) as to_taker,
            ):
                await taker.ready(LEASE_SECONDS + 10)
                assert await _submit(to_taker, "taken-over") == 200
                sleeper.kill(signal.SIGCONT)
                assert set(await asyncio.gather(*waiting)) <= {503, 504, None}
                await until(lambda: _not_ready(sleeper), seconds=5)
                assert await _submit(to_sleeper, "after") == 503
                assert await _submit(to_taker, "still-here") == 200
    facts = _gather(database, [one.path, other.path])
    assert not (found := check(facts)), report(found)
    assert {"before", "taken-over", "still-here"} <= set(facts.orders)
    assert facts.log[-1].epoch > facts.log[0].epoch


def _directory(parent: Path, name: str) -> Path:
    directory = parent / name
    directory.mkdir()
    return directory


async def _submit(client: Client, order_id: str) -> int | None:
    return (await client.post("/api/order", ORDER | {"client_order_id": order_id})).status


async def _not_ready(gateway: Gateway) -> bool:
    return (await gateway.health())[0] == 503


def _gather(dsn: str, ledgers: list[Path]) -> Facts:
    with psycopg.connect(dsn) as connection:
        return gather(connection, ledgers)
