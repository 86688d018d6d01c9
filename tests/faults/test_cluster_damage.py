"""A damaged account keeps its owner not ready and named; all other accounts trade on, the owner's too."""

import asyncio
import json
from pathlib import Path

import psycopg

from tests.faults.cluster import Cluster
from tests.faults.ledger import Ledger
from tests.faults.load import Client
from tests.faults.scale import Figure
from tests.faults.waiting import until

ACCOUNTS = 12
READY_SECONDS = 30
ORDER = {"side": "BUY", "symbol": "BTCUSDT", "qty": "0.01", "price": "30000", "type": "LIMIT"}
DAMAGE = "UPDATE orders SET qty = qty + 0.01 WHERE account = %s AND client_order_id = 'rest-0'"
MEND = "UPDATE orders SET qty = qty - 0.01 WHERE account = %s AND client_order_id = 'rest-0'"


async def test_a_damaged_account_is_quarantined_and_the_others_trade(
    cluster: Cluster, tmp_path: Path, figure: Figure
) -> None:
    await cluster.start()
    with Ledger(tmp_path / "ledger.jsonl") as ledger:
        clients = {
            account: Client(cluster.gateways[0].url, await cluster.open_account(account), ledger)
            for account in [f"damage-{number}" for number in range(ACCOUNTS)]
        }
        assert await _submit(clients, "rest-0") == dict.fromkeys(clients, 200)
        for gateway in cluster.gateways:
            gateway.kill()
        damaged = "damage-3"
        assert _change(cluster, DAMAGE, damaged) == 1
        for gateway in cluster.gateways:
            gateway.start()
        await cluster.shared()
        victim = await _refusing(cluster, damaged)
        others = [gateway for gateway in cluster.gateways if gateway.owner != victim]
        for gateway in others:  # by way of any gateway, and of those that the victim owns too
            clients = {account: client.by(gateway.url) for account, client in clients.items()}
            expected = {account: 503 if account == damaged else 200 for account in clients}
            assert await _submit(clients, f"rest-{gateway.owner}") == expected
        owned = [account for account in clients if (await _owner(cluster, account)) == victim]
        figure("accounts that trade on beside the damaged one, its owner's", f"{ACCOUNTS - 1} {len(owned) - 1}")
        assert _change(cluster, MEND, damaged) == 1
        await cluster.settled()
        assert await _submit(clients, "rest-mended") == dict.fromkeys(clients, 200)


def _change(cluster: Cluster, statement: str, account: str) -> int:
    with psycopg.connect(cluster.database) as connection:
        return connection.execute(statement.encode(), (account,)).rowcount


async def _submit(clients: dict[str, Client], order_id: str) -> dict[str, int | None]:
    async def one(client: Client) -> int | None:
        async with client:
            return (await client.post("/api/order", ORDER | {"client_order_id": order_id})).status

    return dict(zip(clients, await asyncio.gather(*map(one, clients.values())), strict=True))


async def _owner(cluster: Cluster, account: str) -> str | None:
    owner = await cluster.owner_of(account)
    return owner.owner if owner else None


async def _refusing(cluster: Cluster, account: str) -> str:
    """Wait until one gateway is not ready and names the account, and all others are; returns its name.

    While gateways come back together, more than one may have had the account.
    """
    refusing: list[str] = []

    async def settled() -> bool:
        refusing.clear()
        for gateway in cluster.gateways:
            status, text = await gateway.health()
            if status == 503 and account in text:
                assert not json.loads(text)["components"]["recovery"]["ok"], text
                refusing.append(gateway.owner)
            elif status != 200:
                return False
        return len(refusing) == 1

    await until(settled, seconds=READY_SECONDS, every=0.1)
    return refusing[0]
