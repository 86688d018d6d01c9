"""Several gateways of one database: whichever is asked, the answer is the same."""

from __future__ import annotations

import asyncio
import secrets
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from functools import partial

import pytest

from app.fencing import SHARDS, shard_of
from app.peers import HEADER, PATH
from tests.app.http.conftest import Gateway, MakeGateway, until
from tests.faults.gateway import free_port

SECRET = secrets.token_hex(32)


def member(name: str, secret: str = SECRET) -> dict[str, str]:
    port = free_port()
    return {
        "GATEWAY_ID": name,
        "PORT": str(port),
        "ADVERTISE_URL": f"http://127.0.0.1:{port}",
        "CLUSTER_SECRET": secret,
        "DRAIN_LINGER": "0.2",
    }


@asynccontextmanager
async def cluster(make: MakeGateway, *names: str) -> AsyncIterator[list[Gateway]]:
    """Gateways that share the accounts, each with its share."""
    async with AsyncExitStack() as stack:
        gateways = [await stack.enter_async_context(make(**member(name))) for name in names]
        await until(lambda: spread(gateways[0], names), 10)
        yield gateways


async def spread(gateway: Gateway, names: tuple[str, ...]) -> bool:
    return set(await owners(gateway)) == set(names)


async def owners(gateway: Gateway) -> Counter[str]:
    seen = (await gateway.get("/api/cluster")).json
    return Counter(shard["owner"] for shard in seen["shards"])


async def owner_of(gateway: Gateway, account: str) -> str:
    seen = (await gateway.get("/api/cluster")).json
    return str(seen["shards"][shard_of(account)]["owner"])


async def test_every_gateway_takes_every_order_and_says_the_same_of_it(make_gateway: MakeGateway) -> None:
    async with cluster(make_gateway, "a", "b", "c") as gateways:
        for number, gateway in enumerate(gateways):
            name = f"account-{number}"
            made = await gateway.post("/api/admin/accounts", {"account": name, "balances": {"USDT": "1000000"}})
            assert made.status == 201, made.text
        for number in range(12):
            body = {"account": f"account-{number % 3}", "client_order_id": f"o{number}"}
            first = await gateways[number % 3].order(**body)
            assert first.status == 200, first.text
            for gateway in gateways:
                again = await gateway.order(**body)
                assert (again.status, again.json) == (200, first.json)
                refused = await gateway.order(**body, qty="0.6")
                refused.refused(409, "conflict")
            states = [
                (await g.get(f"/api/order_state?client_order_id=o{number}&account={body['account']}")).json
                for g in gateways
            ]
            assert states[0] == states[1] == states[2]
        for number in range(12):
            body = {"account": f"account-{number % 3}", "client_order_id": f"o{number}"}
            gone = await gateways[(number + 1) % 3].post("/api/cancel", body)
            assert (gone.status, gone.json["status"]) == (200, "CANCELLED")
        (await gateways[0].order(account="nobody")).refused(404, "not_found")
        (await gateways[1].get("/api/admin/digest?account=nobody")).refused(404, "not_found")
        digests = [(await g.get("/api/admin/digest?account=account-1")).json for g in gateways]
        assert digests[0]["digest"] == digests[1]["digest"] == digests[2]["digest"]


async def test_one_that_joins_or_leaves_moves_its_share_only(make_gateway: MakeGateway) -> None:
    async with cluster(make_gateway, "a", "b") as (a, b):
        before = (await a.get("/api/cluster")).json["shards"]
        async with make_gateway(**member("c")) as c:
            await until(lambda: spread(c, ("a", "b", "c")), 10)
            await until(lambda: settled(c), 10)
            during = (await c.get("/api/cluster")).json["shards"]
            for old, new in zip(before, during, strict=True):
                assert new["owner"] in {old["owner"], "c"}
                assert new["epoch"] == old["epoch"] + (new["owner"] == "c")
            assert SHARDS / 6 < sum(shard["owner"] == "c" for shard in during) < SHARDS / 2
            assert (await b.order(client_order_id="while-three")).status == 200
        await until(lambda: spread(b, ("a", "b")), 10)  # what was released last may not be claimed yet
        after = (await b.get("/api/cluster")).json["shards"]
        assert [shard["owner"] for shard in after] == [shard["owner"] for shard in before]
        assert (await a.order(client_order_id="while-three")).status == 200


async def settled(gateway: Gateway) -> bool:
    seen = (await gateway.get("/api/cluster")).json
    first = [shard["epoch"] for shard in seen["shards"]]
    await asyncio.sleep(0.4)
    return first == [shard["epoch"] for shard in (await gateway.get("/api/cluster")).json["shards"]]


async def test_nothing_fails_while_accounts_move(make_gateway: MakeGateway) -> None:
    """Orders go to one gateway all the time while another joins and leaves again."""
    async with cluster(make_gateway, "a", "b") as (a, _):
        failed: list[str] = []
        stop = asyncio.Event()
        names = [f"account-{n}" for n in range(6)]
        for name in names:
            await a.post("/api/admin/accounts", {"account": name, "balances": {"USDT": "1000000000"}})

        async def orders(name: str) -> int:
            number = 0
            while not stop.is_set():
                number += 1
                reply = await a.order(account=name, client_order_id=f"n{number}", price="30000", qty="0.01")
                if reply.status != 200:
                    failed.append(reply.text)
            return number

        running = [asyncio.create_task(orders(name)) for name in names]
        for _ in range(2):
            async with make_gateway(**member("c")) as c:
                await until(partial(spread, c, ("a", "b", "c")), 10)
        stop.set()
        counts = await asyncio.gather(*running)
        assert not failed, (len(failed), failed[:3])
        assert a.rows("SELECT count(*) FROM orders")[0][0] == sum(counts)


async def test_an_admin_reaches_every_account(make_gateway: MakeGateway) -> None:
    async with cluster(make_gateway, "a", "b", "c") as gateways:
        a, b, c = gateways
        names = [f"account-{n}" for n in range(8)]
        for name in names:
            await a.post("/api/admin/accounts", {"account": name, "balances": {"USDT": "1000000"}})
            assert (await b.order(account=name)).status == 200
        trader = await a.make_key("trader")
        forbidden = await c.post("/api/cancel_all", {"account": "*"}, headers={"X-API-Key": trader})
        forbidden.refused(403, "forbidden")
        gone = await c.post("/api/cancel_all", {"account": "*"})
        assert gone.status == 200
        assert {one["account"]: (one["ok"], one["cancelled"]) for one in gone.json["accounts"]} == {
            **dict.fromkeys(names, (True, 1)),
            "main": (True, 0),
        }
        killed = await b.post("/api/admin/kill_switch", {"on": True})
        assert killed.status == 200, killed.text
        assert {one["account"] for one in killed.json["accounts"] if one["ok"]} == {*names, "main"}
        for gateway in gateways:
            for name in names[:3]:
                (await gateway.order(account=name, client_order_id="killed")).refused(422, "risk_rejected")
        assert (await c.post("/api/admin/kill_switch", {"on": False})).status == 200
        assert (await a.order(account=names[0], client_order_id="alive")).status == 200


async def test_an_account_that_differs_keeps_its_gateway_not_ready_and_the_others_trade(
    make_gateway: MakeGateway,
) -> None:
    async with make_gateway() as alone:
        for name in ("good", "bad"):
            await alone.post("/api/admin/accounts", {"account": name, "balances": {"USDT": "1000000"}})
    alone.rows("UPDATE balances SET free = free + 1 WHERE account = 'bad' RETURNING 1")
    async with AsyncExitStack() as stack:
        gateways = [await stack.enter_async_context(make_gateway(ready=False, **member(n))) for n in ("a", "b")]
        await until(lambda: spread(gateways[0], ("a", "b")), 10)
        owner = await owner_of(gateways[0], "bad")
        sick = next(g for g in gateways if g.services.settings.gateway_id == owner)
        well = next(g for g in gateways if g is not sick)
        await until(lambda: ready(well), 10)
        health = await sick.get("/health")
        assert health.status == 503
        assert "account bad" in health.json["components"]["recovery"]["detail"]
        for gateway in gateways:
            (await gateway.order(account="bad")).refused(503, "execution_unavailable")
            assert (await gateway.order(account="good")).status == 200


async def ready(gateway: Gateway) -> bool:
    return (await gateway.get("/health/ready")).status == 200


async def test_only_gateways_with_the_secret_are_heard(make_gateway: MakeGateway) -> None:
    async with cluster(make_gateway, "a", "b") as (a, b):
        for header in ({}, {HEADER: "1 1 x"}, {HEADER: f"{2**41} 1000 {'0' * 64}"}):
            assert (await a.post(PATH, {"type": "digest", "account": "main"}, headers=header)).status == 403
        async with make_gateway(ready=False, **member("c", secrets.token_hex(32))) as c:
            await until(lambda: refused_for(c, "another VELOZ_CLUSTER_SECRET"), 10)
        assert (await b.order()).status == 200


async def refused_for(gateway: Gateway, why: str) -> bool:
    return why in (await gateway.get("/health")).json["components"]["leases"]["detail"]


@pytest.mark.parametrize("policy", ["hold", "cancel"])
async def test_open_orders_are_held_or_cancelled_when_the_last_gateway_leaves(
    make_gateway: MakeGateway, policy: str
) -> None:
    async with make_gateway(DRAIN_POLICY=policy, **member("a")) as a:
        async with make_gateway(DRAIN_POLICY=policy, **member("b")) as b:
            await until(lambda: spread(a, ("a", "b")), 10)
            for name in ("one", "two", "three", "four"):
                await b.post("/api/admin/accounts", {"account": name, "balances": {"USDT": "1000000"}})
                assert (await b.order(account=name)).status == 200
        assert {row[0] for row in a.rows("SELECT status FROM orders")} == {"ACCEPTED"}, "one is left"
    status = {"hold": "ACCEPTED", "cancel": "CANCELLED"}[policy]
    assert {row[0] for row in a.rows("SELECT status FROM orders")} == {status}
