"""Gateways that come and go in DNS, as pods of a headless service do."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from stacks.balancer import Balancer, BalancerError, Discovery, Kind
from stacks.programs import Program, find
from tests.stacks.backends import backend, free_port
from tests.stacks.front import Front, before, secured, until
from tests.stacks.nameserver import Nameserver, nameserver

ONE, TWO = "127.0.0.2", "127.0.0.3"
# Resolved every second, an address that left is held for ten by HAProxy, the gateway itself drains for seven and more.
SEEN = 5.0
FORGOTTEN = 15.0


@pytest.fixture(params=["nginx", "haproxy"])
def program(request: pytest.FixtureRequest) -> Program:
    kind: Kind = request.param
    found = find(kind)
    if kind == "nginx" and found.version < (1, 27, 3):
        pytest.skip(f"{found.name} cannot follow names in DNS; 1.27.3 is the first")
    return found


def following(names: Nameserver, port: int) -> Balancer:
    found = Discovery(
        name="veloz-gateway.veloz.svc.cluster.local",
        port=port,
        most=8,
        nameserver="127.0.0.1",
        nameserver_port=names.port,
    )
    return secured([], gateways=(), discovery=found)


@asynccontextmanager
async def followed(program: Program, directory: Path, *addresses: str) -> AsyncIterator[tuple[Front, Nameserver, int]]:
    port = free_port()
    async with (
        nameserver(list(addresses)) as names,
        before(program, following(names, port), directory) as made,
    ):
        yield made, names, port


async def served(made: Front) -> object:
    """By whom; the status when nobody did."""
    status, said = await made.ask("POST", "/api/order")
    return said["name"] if status == 200 else status


async def test_one_that_comes_is_used_and_one_that_leaves_fails_no_request(program: Program, tmp_path: Path) -> None:
    async with followed(program, tmp_path, ONE) as (made, names, port):
        who: Counter[object] = Counter()
        ended = False

        async def client() -> None:
            while not ended:
                who[await served(made)] += 1
                await asyncio.sleep(0.01)

        async with backend("two", port, TWO), asyncio.TaskGroup() as group:
            async with backend("one", port, ONE) as first:
                await eventually(made, "one")
                for _ in range(4):
                    group.create_task(client())
                names.addresses = [ONE, TWO]
                await until(lambda: who["two"], SEEN)
                names.addresses = [TWO]
                await quiet(first.seen, FORGOTTEN)
            before_end = who["two"]
            await until(lambda: who["two"] > before_end + 20, SEEN)
            ended = True
        assert set(who) == {"one", "two"}


async def eventually(made: Front, name: object) -> None:
    async with asyncio.timeout(SEEN):
        while await served(made) != name:  # noqa: ASYNC110 - somebody else's event
            await asyncio.sleep(0.1)


async def quiet(seen: list[tuple[str, str]], seconds: float) -> None:
    """Until nothing more is added."""
    async with asyncio.timeout(seconds):
        count = -1
        while count != len(seen):
            count = len(seen)
            await asyncio.sleep(1.0)


async def test_when_dns_is_silent_those_who_were_there_are_asked_on(program: Program, tmp_path: Path) -> None:
    async with followed(program, tmp_path, ONE) as (made, names, port), backend("one", port, ONE):
        await eventually(made, "one")
        names.addresses = None
        for _ in range(8):
            assert await served(made) == "one"
            await asyncio.sleep(0.5)
        names.addresses = [ONE]
        await eventually(made, "one")


async def test_it_starts_and_says_503_while_there_is_nobody(program: Program, tmp_path: Path) -> None:
    async with followed(program, tmp_path) as (made, names, port):
        assert await served(made) == 503
        names.addresses = [ONE]
        async with backend("one", port, ONE):
            await eventually(made, "one")


def test_an_nginx_that_is_too_old_to_follow_names_is_refused(tmp_path: Path) -> None:
    names = Nameserver([])
    names.port = 53
    model = following(names, 8080)
    for version, found in (((1, 27, 2), "1.27.2"), ((), "of an unknown version")):
        with pytest.raises(BalancerError, match=f"nginx {found} cannot follow .*1.27.3 is the first"):
            Program("nginx", "nginx", version).configure(model, tmp_path)
