"""A start that finds engine, tables and log unequal stays not ready and says which account."""

import asyncio
import json
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg.conninfo import conninfo_to_dict

from app.embedded import EmbeddedServers
from tests.conftest import new_database
from tests.faults.gateway import Gateway, environment, running
from tests.faults.ledger import Ledger
from tests.faults.load import Client
from tests.faults.waiting import until

STAYS_SECONDS = 0.5
ORDERS = 40

DAMAGE = {
    "an amount in a payload of the log": """UPDATE order_wal
        SET payload = replace(payload::text, '"qty":0.01', '"qty":0.02')::json
        WHERE (account, seq) = (SELECT account, seq FROM order_wal WHERE type = 'fill' ORDER BY seq LIMIT 1)""",
    "a row of the log deleted": "DELETE FROM order_wal WHERE seq = (SELECT max(seq) - 5 FROM order_wal)",
    "the last row of the log deleted": "DELETE FROM order_wal WHERE seq = (SELECT max(seq) FROM order_wal)",
    "an open order deleted": "DELETE FROM orders WHERE status = 'ACCEPTED' AND client_order_id = 'rest-7'",
    "an open order changed": "UPDATE orders SET qty = qty + 0.01 WHERE client_order_id = 'rest-7'",
    "an open order closed": "UPDATE orders SET status = 'CANCELLED' WHERE client_order_id = 'rest-7'",
    "a balance raised": "UPDATE balances SET free = free + 0.00000001 WHERE asset = 'USDT'",
    "a balance deleted": "DELETE FROM balances WHERE asset = 'BTC'",
    "a position changed": "UPDATE positions SET qty = qty + 0.01",
}


@pytest.fixture(scope="module")
def traded(
    embedded: EmbeddedServers, migrated: str, engine_binary: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[str]:
    """The name of a database whose gateway was killed with orders open and fills made. Copied, never changed."""
    with new_database(embedded.postgres_dsn, migrated) as dsn:
        environ = environment(dsn, embedded.redis_url, engine_binary)
        asyncio.run(_trade(tmp_path_factory.mktemp("damage"), environ))
        yield str(conninfo_to_dict(dsn)["dbname"])


async def _trade(directory: Path, environ: dict[str, str]) -> None:
    with Ledger(directory / "ledger.jsonl") as ledger:
        async with running(directory, environ) as gateway, Client(gateway.url, gateway.headers, ledger) as client:
            for number in range(ORDERS):
                order = {"side": "BUY", "symbol": "BTCUSDT", "qty": "0.01", "client_order_id": f"rest-{number}"}
                call = await client.post("/api/order", order | {"type": "LIMIT", "price": "30000"})
                assert call.status == 200
                take = order | {"client_order_id": f"take-{number}", "type": "MARKET"}
                assert (await client.post("/api/order", take)).status == 200
            gateway.kill()


@pytest.fixture
def copy(traded: str, postgres: str) -> Iterator[str]:
    """The DSN of a copy to damage."""
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = %s", (traded,))
    with new_database(postgres, traded) as dsn:
        yield dsn


@pytest.mark.parametrize("damage", DAMAGE)
async def test_a_damaged_record_keeps_the_gateway_not_ready(
    damage: str, copy: str, redis_url: str, engine_binary: Path, tmp_path: Path
) -> None:
    with psycopg.connect(copy) as connection:
        assert connection.execute(DAMAGE[damage].encode()).rowcount == 1
    environ = environment(copy, redis_url, engine_binary)
    async with running(tmp_path, environ, wait=False) as gateway:
        await _refusal(gateway)
        with Ledger(tmp_path / "ledger.jsonl") as ledger:
            async with Client(gateway.url, gateway.headers, ledger) as client:
                order = {"side": "BUY", "symbol": "BTCUSDT", "qty": "0.01", "price": "30000", "client_order_id": "no"}
                assert (await client.post("/api/order", order | {"type": "LIMIT"})).status == 503
        await asyncio.sleep(STAYS_SECONDS)  # a later attempt does not find it equal either
        assert (await gateway.health())[0] == 503


async def test_undamaged_it_is_ready_again(copy: str, redis_url: str, engine_binary: Path, tmp_path: Path) -> None:
    async with running(tmp_path, environment(copy, redis_url, engine_binary)) as gateway:
        assert (await gateway.health())[0] == 200


async def _refusal(gateway: Gateway) -> None:
    """Wait until recovery was tried and refused, naming the account. Being ready instead fails the test."""

    async def refused() -> bool:
        status, text = await gateway.health()
        assert status != 200, f"ready in spite of the damage: {text}"
        if status == 0:
            return False
        recovery = json.loads(text)["components"]["recovery"]
        return not recovery["ok"] and "main" in recovery["detail"]

    await until(refused, seconds=15)
