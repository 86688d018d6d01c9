"""Networks and volumes of others on a Docker host: judged as given, and read from a real daemon."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from stacks import names
from stacks.commands import docker_facts, docker_neighbours
from stacks.commands.docker_facts import LABEL
from stacks.commands.docker_neighbours import Network, Volume
from stacks.commands.findings import Finding
from stacks.document import load

if TYPE_CHECKING:
    from docker import DockerClient

COMPOSE = load({"topology": "compose"})
SINGLE = load({"topology": "single"})


def refused(there: list[Network], held: list[Volume] | None = None) -> dict[str, Finding]:
    found = docker_neighbours.findings(COMPOSE, there, held or [])
    return {one.what: one for one in found if one.verdict == "refused"}


def test_its_own_and_those_beside_it_are_no_obstacle() -> None:
    own = [
        Network(names.network(COMPOSE, one), "veloz", (names.subnet(COMPOSE, one),)) for one in names.networks(COMPOSE)
    ]
    beside = [
        Network("veloz-extra", "", ("10.213.7.0/24",)),
        Network("veloz-two-app", "veloz-two", ("10.214.0.0/24", "fd00::/64")),
        Network("host", ""),
    ]
    others = ("veloz-dumps", "veloz-two-gateway-1-files-01234567", "veloz-gateway-9-files")
    volumes = [*(Volume(one, "veloz") for one in names.data_volumes(COMPOSE)), *(Volume(one, "") for one in others)]
    assert refused([*own, *beside], volumes) == {}


@pytest.mark.parametrize("whose", ["", "other"])
def test_a_network_of_our_name_that_is_not_ours_is_refused(whose: str) -> None:
    found = refused([Network("veloz-app", whose, ("10.0.0.0/24",))])
    assert set(found) == {"networks"}
    assert found["networks"].have == ("veloz-app of deployment other" if whose else "veloz-app")


@pytest.mark.parametrize(
    ("subnet", "overlaps"),
    [
        ("10.213.1.0/24", True),
        ("10.213.1.128/25", True),
        ("10.0.0.0/8", True),
        ("10.213.8.0/24", False),  # of docker.subnet, and of none of its networks
        ("10.212.0.0/16", False),
    ],
)
def test_addresses_of_another_network_are_refused_with_others_that_are_free(subnet: str, overlaps: bool) -> None:  # noqa: FBT001
    there = [Network("shop-app", "shop", (subnet,)), Network("x", "", ("10.213.17.0/24",))]
    found = refused(there)
    assert set(found) == ({"addresses"} if overlaps else set())
    if overlaps:
        assert found["addresses"].have == f"shop-app of deployment shop has {subnet}"
        whole = subnet == "10.0.0.0/8"
        example = "" if whole else ", e.g. 10.213.32.0/20, which no network here has"
        assert found["addresses"].remedy == f"Choose another docker.subnet{example}."


@pytest.mark.parametrize("name", ["veloz-postgres-data", "veloz-gateway-3-files", "veloz-redis-files-01234567"])
@pytest.mark.parametrize("whose", ["", "other"])
def test_a_volume_of_our_name_that_is_not_ours_is_refused(name: str, whose: str) -> None:
    found = refused([], [Volume(name, whose)])
    assert set(found) == {"volumes"}
    assert "would become its data" in found["volumes"].remedy


# Real ones


@pytest.fixture
def client() -> Iterator[DockerClient]:
    from docker.errors import DockerException  # noqa: PLC0415 - slow to load

    try:
        with docker_facts.daemon(SINGLE, {}) as found:
            found.ping()
            yield found
    except (DockerException, OSError):
        pytest.skip("no Docker daemon answers")


def test_what_a_daemon_has_is_read_and_refused(client: DockerClient) -> None:
    from docker.types import IPAMConfig, IPAMPool  # noqa: PLC0415

    name = f"test-{secrets.token_hex(3)}"
    document: dict[str, Any] = {"topology": "single", "name": name, "docker": {"subnet": "192.168.232.0/21"}}
    spec = load(document)
    subnet = "192.168.232.192/28"
    pool = IPAMConfig(pool_configs=[IPAMPool(subnet=subnet)])
    assert not strange(spec)
    network = client.networks.create(f"{name}-edge", ipam=pool)
    try:
        assert strange(spec) == {"networks": f"{name}-edge", "addresses": f"{name}-edge has {subnet}"}
    finally:
        network.remove()
    other = client.networks.create(f"{name}-other", ipam=pool, labels={LABEL: f"{name}-two"})
    volume = client.volumes.create(f"{name}-data", labels={LABEL: f"{name}-two"})
    try:
        assert strange(spec) == {
            "addresses": f"{name}-other of deployment {name}-two has {subnet}",
            "volumes": f"{name}-data of deployment {name}-two",
        }
    finally:
        other.remove()
        volume.remove()
    volume = client.volumes.create(f"{name}-data", labels={LABEL: name})
    try:
        assert not strange(spec)
    finally:
        volume.remove()


def strange(spec: Any) -> dict[str, str]:  # noqa: ANN401
    facts = docker_facts.read(spec, {})
    found = docker_neighbours.findings(spec, facts.networks, facts.volumes)
    return {one.what: one.have for one in found if one.verdict == "refused"}
