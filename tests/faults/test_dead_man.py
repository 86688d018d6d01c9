"""The dead man's switch fires in time although the gateway that owns the account is killed."""

import asyncio
import time
from pathlib import Path
from typing import Any

import aiohttp
import psycopg
import pytest

from tests.faults.cluster import Cluster
from tests.faults.ledger import Ledger
from tests.faults.load import Client
from tests.faults.scale import Figure, scaled
from tests.faults.waiting import until

TIMEOUT = scaled(4.0, 6.0)
LATE_SECONDS = 1.0
ROUNDS = scaled(1, 10)
ORDERS = 5
ORDER = {"side": "BUY", "symbol": "BTCUSDT", "qty": "0.01", "price": "30000", "type": "LIMIT"}


@pytest.mark.timeout(600)
@pytest.mark.parametrize("before", [TIMEOUT, 0.3], ids=["right after arming", "right before it is due"])
async def test_the_switch_fires_in_time_across_a_kill_of_the_owner(
    before: float, cluster: Cluster, tmp_path: Path, seed: int, figure: Figure
) -> None:
    late: list[float] = []
    for number in range(ROUNDS):
        await cluster.start()
        account = f"switch-{seed}-{before}-{number}"
        late.append(await _round(cluster, account, before, tmp_path / f"{number}.jsonl"))
    figure("seconds after its time-out that a switch had cancelled everything", f"{max(late):.2f} of {late}")
    assert max(late) <= LATE_SECONDS


async def _round(cluster: Cluster, account: str, before: float, path: Path) -> float:
    headers = await cluster.open_account(account)
    owner = await cluster.owner_of(account)
    assert owner is not None
    with Ledger(path) as ledger:
        async with Client(owner.url, headers, ledger) as client:
            for number in range(ORDERS):
                assert (await client.post("/api/order", ORDER | {"client_order_id": f"o-{number}"})).status == 200
    armed = time.monotonic()
    await _arm(owner.url, headers)
    await asyncio.sleep(max(0.0, armed + TIMEOUT - before - time.monotonic()))
    owner.kill()
    try:
        async with await psycopg.AsyncConnection.connect(cluster.database, autocommit=True) as connection:

            async def cancelled() -> bool:
                return await _open(connection, account) == 0

            assert await _open(connection, account) == ORDERS, "cancelled before it was due"
            await until(cancelled, seconds=TIMEOUT + 20, every=0.02)
    finally:
        owner.start()
    return time.monotonic() - armed - TIMEOUT


async def _open(connection: psycopg.AsyncConnection[Any], account: str) -> int:
    cursor = await connection.execute(
        "SELECT count(*) FROM orders WHERE account = %s AND status = 'ACCEPTED'", (account,)
    )
    row = await cursor.fetchone()
    return int(row[0]) if row else 0


async def _arm(url: str, headers: dict[str, str]) -> None:
    body = {"timeout_seconds": TIMEOUT}
    async with (
        aiohttp.ClientSession(headers=headers) as session,
        session.post(f"{url}/api/dead_man_switch", json=body) as answer,
    ):
        assert answer.status == 200, await answer.text()
