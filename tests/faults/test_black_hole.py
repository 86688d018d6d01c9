"""The database falls silent for one gateway; it answers in time, drops the sockets, and the others take over."""

import asyncio
import time
from pathlib import Path

import psycopg

from tests.faults.checker import check, report
from tests.faults.cluster import Cluster
from tests.faults.facts import gather
from tests.faults.gateway import Gateway
from tests.faults.ledger import Ledger, read
from tests.faults.load import Client
from tests.faults.scale import Figure
from tests.faults.shard_checker import check_shards
from tests.faults.waiting import until

ANSWER_SECONDS = 2.0
DROP_SECONDS = 10.0
EVERY_SECONDS = 0.1
ORDER = {"side": "BUY", "symbol": "BTCUSDT", "qty": "0.01", "price": "30000", "type": "LIMIT"}
ESTABLISHED = "01"


async def test_a_gateway_whose_database_falls_silent_answers_in_time(
    cluster: Cluster, tmp_path: Path, seed: int, figure: Figure
) -> None:
    await cluster.start()
    cut, other = cluster.gateways[:2]
    proxy = cluster.to_database
    assert proxy is not None
    account, headers = await _account_of(cluster, cut, seed)
    with Ledger(tmp_path / "cut.jsonl") as one, Ledger(tmp_path / "other.jsonl") as two:
        async with Client(cut.url, headers, one) as to_cut, Client(other.url, headers, two) as to_other:
            assert (await to_cut.post("/api/order", ORDER | {"client_order_id": "before"})).status == 200
            started = time.monotonic()
            proxy.set("black hole")
            try:
                sockets = _sockets(cut, proxy.port)
                assert sockets
                asking = asyncio.create_task(_ask(to_cut))
                other_asking = asyncio.create_task(_taken_over(to_other))

                async def dropped() -> bool:
                    return not sockets & _sockets(cut, proxy.port)

                await until(dropped, seconds=15)
                figure("seconds until the last socket was dropped", dropped_after := time.monotonic() - started)
                figure("seconds until the account traded elsewhere", await other_asking - started)
                await asyncio.sleep(max(0.0, started + DROP_SECONDS + 1 - time.monotonic()))
                asking.cancel()
                status, _ = await cut.health()
                assert status == 503
            finally:
                proxy.set("pass")
            await asyncio.gather(asking, return_exceptions=True)
            await cluster.settled()
            after = await to_cut.post("/api/order", ORDER | {"client_order_id": "after"})
            assert after.status == 200, [call.answer for call in read(one.path)][-1]
    asked = [call for call in read(one.path) if call.order_id.startswith("silent")]
    figure("answers, slowest", f"{len(asked)} {max(call.seconds for call in asked):.2f}")
    slow = [call for call in asked if call.status not in {503, 504} or call.seconds > ANSWER_SECONDS]
    with psycopg.connect(cluster.database) as connection:
        facts = gather(connection, [one.path, two.path], account=account)
    assert not (found := check(facts) + check_shards([facts])), report(found)
    assert len(asked) > 50
    assert not slow, "\n".join([f"{len(slow)} of {len(asked)}", *map(str, slow[:5])])
    assert dropped_after <= DROP_SECONDS


async def _account_of(cluster: Cluster, owner: Gateway, seed: int) -> tuple[str, dict[str, str]]:
    """A new account that `owner` owns, and a trader's headers for it."""
    for number in range(40):
        account = f"hole-{seed}-{number}"
        headers = await cluster.open_account(account)
        if await cluster.owner_of(account) is owner:
            return account, headers
    raise AssertionError(f"{owner.owner} owns none of 40 accounts")


async def _ask(client: Client) -> None:
    """A new order every so often, until cancelled; then wait for what is under way."""
    tasks = []
    try:
        for number in range(1_000):
            body = ORDER | {"client_order_id": f"silent-{number}"}
            tasks.append(asyncio.create_task(client.post("/api/order", body)))
            await asyncio.sleep(EVERY_SECONDS)
    finally:
        await asyncio.shield(asyncio.gather(*tasks))


async def _taken_over(client: Client) -> float:
    """When the account first traded elsewhere."""

    async def traded() -> bool:
        return (await client.post("/api/order", ORDER | {"client_order_id": "elsewhere"})).status == 200

    await until(traded, seconds=20, every=0.1)
    return time.monotonic()


def _sockets(gateway: Gateway, port: int) -> set[str]:
    """The inodes of the gateway's established connections to a port."""
    wanted = f":{port:04X}"
    lines = [line.split() for line in Path(f"/proc/{gateway.pid}/net/tcp").read_text().splitlines()[1:]]
    inodes = {line[9] for line in lines if line[2].endswith(wanted) and line[3] == ESTABLISHED}
    held = set()
    for descriptor in Path(f"/proc/{gateway.pid}/fd").iterdir():
        try:
            target = str(descriptor.readlink())
        except FileNotFoundError:
            continue
        held.add(target.removeprefix("socket:[").removesuffix("]"))
    return inodes & held
