"""Others who write to the objects of a deployment: an autoscaler, a person, another stack."""

from __future__ import annotations

import asyncio
import json
import re
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import aiohttp
import pytest

from stacks import names, ports
from tests.e2e.cluster_host import ROLE, kubectl, run
from tests.e2e.on_cluster import DOCUMENT, OnCluster, missing
from tests.faults.scale import Figure
from tests.faults.waiting import until

pytestmark = [pytest.mark.alone, pytest.mark.timeout(1800)]

BUSY_SECONDS = 180.0  # metrics come every 15 s, the autoscaler looks every 15 s
DEPLOYMENT = names.object_name("gateway")


@pytest.fixture(scope="module")
def stack(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OnCluster]:
    if why := missing():
        pytest.skip(why)
    document = DOCUMENT | {
        "gateways": {"replicas": 1},
        "kubernetes": DOCUMENT["kubernetes"] | {"max_replicas": 2},
        "monitoring": {"prometheus": False, "grafana": False},
        "edge": DOCUMENT["edge"] | {"replicas": 1},
    }
    with OnCluster(tmp_path_factory.mktemp("scaled"), document) as made:
        made.build()
        made.command("up")
        yield made


def _replicas(stack: OnCluster) -> int:
    found = json.loads(kubectl("--namespace", stack.name, "get", "deployment", DEPLOYMENT, "--output", "json"))
    return int(found["spec"]["replicas"])


def test_what_an_autoscaler_chose_stays_until_it_is_turned_off(stack: OnCluster) -> None:
    # By the way that it takes: the subresource, whose writer owns the field from then on.
    kubectl("--namespace", stack.name, "scale", "deployment", DEPLOYMENT, "--replicas", "2")
    stack.command("up")
    assert _replicas(stack) == 2
    assert "Nothing changes." in stack.command("up").stdout
    stack.describe(kubernetes={"max_replicas": 1})
    stack.command("up")
    assert _replicas(stack) == 1
    assert kubectl("--namespace", stack.name, "get", "horizontalpodautoscaler", "--output", "name") == ""
    assert "Nothing changes." in stack.command("up").stdout


async def test_the_autoscaler_adds_a_gateway_when_they_are_busy(stack: OnCluster, figure: Figure) -> None:
    if run("get", "--raw", "/apis/metrics.k8s.io/v1beta1/nodes").returncode:
        pytest.skip("the cluster has no metrics server")
    stack.describe(kubernetes={"max_replicas": 2})
    await asyncio.to_thread(stack.command, "up")
    assert _replicas(stack) == 1
    (gateway,) = stack.gateways.values()
    started = time.monotonic()
    async with aiohttp.ClientSession(headers=stack.headers) as session:

        async def busy() -> None:
            while _seconds(started) < BUSY_SECONDS:
                async with session.get(f"http://{gateway}:{ports.GATEWAY}/api/account") as answer:
                    await answer.read()

        clients = [asyncio.create_task(busy()) for _ in range(4)]
        try:
            await until(partial(_scaled_to, stack, 2), seconds=BUSY_SECONDS, every=2)
        finally:
            for client in clients:
                client.cancel()
            await asyncio.gather(*clients, return_exceptions=True)
    figure("second gateway asked for after, s", round(_seconds(started)))
    await asyncio.to_thread(stack.rolled_out, "gateway")
    assert len(stack.gateways) == 2
    assert "Nothing changes." in (await asyncio.to_thread(stack.command, "up")).stdout


def _seconds(since: float) -> float:
    return time.monotonic() - since


async def _scaled_to(stack: OnCluster, replicas: int) -> bool:
    return await asyncio.to_thread(_replicas, stack) == replicas


def test_what_a_person_changed_is_shown_and_taken_back(stack: OnCluster) -> None:
    """Again and again: who wrote a field last owns it in the cluster's eyes."""
    for _ in range(2):
        patch = json.dumps({"metadata": {"labels": {ROLE: "theirs"}}})
        kubectl("--namespace", stack.name, "patch", "service", DEPLOYMENT, "--patch", patch)
        assert re.search(rf"update +Service +{DEPLOYMENT} ", stack.command("up").stdout)
        found = json.loads(kubectl("--namespace", stack.name, "get", "service", DEPLOYMENT, "--output", "json"))
        assert found["metadata"]["labels"][ROLE] == "gateway"


def test_a_second_stack_of_its_name_is_refused(stack: OnCluster, tmp_path: Path) -> None:
    before = kubectl("--namespace", stack.name, "get", "pods", "--output", "name")
    with OnCluster(tmp_path) as second:
        second.describe(name=stack.name, images={"veloz": stack.spec.images.veloz})
        refused = second.command("up", check=False)
    assert refused.returncode == 1
    assert f"there is namespaces {stack.name} already" in refused.stderr
    assert kubectl("--namespace", stack.name, "get", "pods", "--output", "name") == before
