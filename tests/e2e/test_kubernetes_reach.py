"""On a cluster whose network enforces policies: what is declared can be reached, nothing else, and it still serves."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from stacks import ports, reach
from tests.e2e import cluster_host, network_of
from tests.e2e.cluster_host import Pod, any_process
from tests.e2e.on_cluster import OnCluster, missing
from tests.e2e.strangers import OPEN, policies_are_enforced, strangers
from tests.faults.scale import Figure

pytestmark = [pytest.mark.alone, pytest.mark.timeout(1800)]


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("kubernetes")


@pytest.fixture(scope="module")
def stack(directory: Path) -> Iterator[OnCluster]:
    if why := missing():
        pytest.skip(why)
    with OnCluster(directory) as stack:
        stack.build()
        yield stack


@pytest.fixture(scope="module")
def stranger(stack: OnCluster) -> Iterator[Pod]:
    """Of a namespace of its own."""
    with strangers(f"{stack.name}-strangers", stack.spec.images.redis) as there:
        if not policies_are_enforced(there):
            pytest.skip("the network of this cluster enforces no NetworkPolicies")
        yield there[OPEN]


def test_it_comes_up_and_serves_an_order(stack: OnCluster, stranger: Pod) -> None:
    """All that it needs is declared: `up` ends with an order, its event and its cancellation."""
    assert stranger.ready
    stack.command("up")


def test_from_each_pod_exactly_what_is_declared_can_be_reached(stack: OnCluster, stranger: Pod, figure: Figure) -> None:
    """Every port that anything listens on, at every address of every other pod."""
    pods = [*cluster_host.pods(stack.name), stranger]
    process = {pod.name: any_process(pod) for pod in pods}
    every = sorted({port for each in process.values() for port in network_of.listening(each)} | {22, 80, 443})
    edges = {(edge.source, edge.target, edge.port) for edge in reach.edges(stack.spec)}
    wanted, found = set[tuple[str, str, int]](), set[tuple[str, str, int]]()
    tried = 0
    for source in pods:
        owner = {address: pod for pod in pods if pod != source for address in pod.addresses}
        tries = [(address, port) for address in owner for port in every]
        tried += len(tries)
        reached = network_of.reached(process[source.name], tries)
        found |= {(source.name, owner[address].name, port) for address, port in reached}
        party = source.role or "clients"
        wanted |= {
            (source.name, target.name, port)
            for target in owner.values()
            for port in every
            if (party, target.role, port) in edges
        }
    figure("connections tried, accepted", f"{tried}, {len(found)}")
    assert ports.REDIS in every
    assert found - wanted == set(), "reachable, and not declared"
    assert wanted - found == set(), "declared, and not reachable"
