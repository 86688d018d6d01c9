"""A stream is the same on every gateway, and goes on while its account moves."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from tests.app.http.conftest import Event, Events, Gateway, MakeGateway, until
from tests.app.http.test_cluster import cluster, member, owner_of


class Follower:
    """The durable events of one stream, and when each came."""

    def __init__(self) -> None:
        self.events: list[Event] = []
        self.came: list[float] = []

    async def follow(self, events: Events) -> None:
        while (event := await events.next("market", seconds=60)) is not None:
            self.events.append(event)
            self.came.append(time.monotonic())

    async def has(self, count: int) -> bool:
        return len(self.events) >= count


@asynccontextmanager
async def following(gateway: Gateway, path: str = "/api/stream?account=main&last_id=4") -> AsyncIterator[Follower]:
    async with gateway.stream(path) as events:
        follower = Follower()
        task = asyncio.create_task(follower.follow(events))
        try:
            yield follower
        finally:
            task.cancel()
            await asyncio.wait({task})


@pytest.mark.parametrize("redis", ["with", "without"])
async def test_streams_on_every_gateway_while_accounts_move(make_gateway: MakeGateway, redis: str) -> None:
    more = {} if redis == "with" else {"REDIS_URL": ""}

    def make(**variables: str):  # type: ignore[no-untyped-def] # noqa: ANN202 - what make_gateway gives
        return make_gateway(**variables, **more)

    async with cluster(make, "a", "b") as (a, b):
        (await a.post("/api/admin/accounts", {"account": "second", "balances": {"USDT": "1000000"}}))
        async with (
            following(a) as at_a,
            following(b) as at_b,
            following(a, "/api/stream?account=second&last_id=0") as second_a,
            following(b, "/api/stream?account=second&last_id=0") as second_b,
            following(a, "/api/stream?account=*") as all_a,
            following(b, "/api/stream?account=*") as all_b,
        ):
            owners, done = [], 0

            async def trade(count: int) -> None:
                nonlocal done
                for _ in range(count):
                    done += 1
                    for account in ("main", "second"):
                        answer = await (a, b)[done % 2].order(client_order_id=f"o{done}", account=account, qty="0.001")
                        assert answer.status == 200, answer.text
                owners.append(await owner_of(a, "second"))

            await trade(20)
            async with make(**member("c")):
                async with asyncio.timeout(20):
                    while owners[-1] != "c":
                        await trade(5)
                await trade(20)
            await trade(20)
            assert owners[0] == owners[-1] == "a"
            committed = time.monotonic()
            for one in (at_a, at_b):
                await until(lambda one=one: one.has(3 * done), 10)  # type: ignore[misc]
                assert one.came[-1] - committed < 0.5
                assert [event.id for event in one.events] == [str(seq) for seq in range(5, 5 + 3 * done)]
            assert at_a.events == at_b.events
            for one in (second_a, second_b):
                await until(lambda one=one: one.has(3 * done), 10)  # type: ignore[misc]
                assert [event.id for event in one.events] == [str(n + 1) for n in range(len(one.events))]
            for one in (all_a, all_b):
                await until(lambda one=one: one.has(6 * done), 10)  # type: ignore[misc]
                assert one.came[-1] - committed < 0.5
            assert all_a.events == all_b.events
            for account in ("main", "second"):
                seen = [
                    event.data["client_order_id"]
                    for event in all_a.events
                    if event.type == "order_state" and event.data["account"] == account
                ]
                assert seen == [f"o{n + 1}" for n in range(done)]


async def test_a_client_goes_on_at_another_gateway(make_gateway: MakeGateway) -> None:
    async with cluster(make_gateway, "a", "b") as (a, b):
        for number in range(5):
            assert (await a.order(client_order_id=f"o{number}")).status == 200
        async with a.stream("/api/stream?last_id=0") as events:
            seen = await events.take(11, "market")
        async with b.stream("/api/stream", Last_Event_ID=seen[-1].id or "") as events:
            seen += await events.take(8, "market")
        assert [event.id for event in seen] == [str(seq) for seq in range(1, 20)]
        async with a.stream("/api/stream?account=*") as events:
            assert (await b.order(client_order_id="x")).status == 200
            [first, *_] = await events.take(3, "market")
        async with b.stream("/api/stream?account=*", Last_Event_ID=first.id or "") as events:
            assert [event.type for event in await events.take(2, "market")] == ["order_state", "account"]
