"""Where a deployment on a Docker host is reached, whichever machine that is."""

from __future__ import annotations

import pytest

from stacks.this_machine import docker_host, is_this
from tests.stacks.declared import declare, described

EVERYWHERE = "0.0.0.0"  # noqa: S104 - described, not bound to


def test_an_address_that_is_everywhere_is_reached_at_the_docker_host(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DOCKER_HOST", raising=False)
    everywhere = {"address": EVERYWHERE, "hostname": "veloz.example"}
    assert declare(described(topology="compose", edge=everywhere)).outputs["address"] == "127.0.0.1"
    remote = described(topology="compose", edge=everywhere, docker={"host": "ssh://veloz@192.0.2.7"})
    assert declare(remote).outputs["address"] == "192.0.2.7"


@pytest.mark.parametrize(
    ("endpoint", "address"),
    [
        ("ssh://veloz@192.0.2.8:2222", "192.0.2.8"),
        ("tcp://docker.example:2376", "docker.example"),
        ("tcp://[2001:db8::8]:2376", "2001:db8::8"),
        ("unix:///var/run/docker.sock", "127.0.0.1"),
        ("", "127.0.0.1"),
    ],
)
def test_a_docker_host_that_the_environment_names_is_reached_there(
    endpoint: str, address: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DOCKER_HOST", endpoint)
    everywhere = {"address": EVERYWHERE, "hostname": "veloz.example"}
    seen = declare(described(topology="compose", edge=everywhere))
    assert seen.outputs["address"] == address
    # The description's word comes before it, and an address of its own is what it is.
    named = described(topology="compose", edge=everywhere, docker={"host": "ssh://veloz@192.0.2.7"})
    assert declare(named).outputs["address"] == "192.0.2.7"
    own = described(topology="compose", edge={**everywhere, "address": "192.0.2.9"})
    assert declare(own).outputs["address"] == "192.0.2.9"


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.0.1", "::1", "localhost", "Localhost.", "db.localhost"])
def test_this_machine_is_known_by_its_names_and_addresses(host: str) -> None:
    assert is_this(host)


@pytest.mark.parametrize("host", ["", "192.0.2.1", "::", "localhost.example", "notlocalhost", "db.example.com"])
def test_another_is_not_taken_for_it(host: str) -> None:
    assert not is_this(host)


@pytest.mark.parametrize(
    ("endpoint", "host"),
    [
        ("", ""),
        ("unix:///var/run/docker.sock", ""),
        ("unix://relative.sock", ""),
        ("npipe:////./pipe/docker_engine", ""),
        ("ssh://veloz@Trading:2222", "trading"),
        ("192.0.2.1:2375", "192.0.2.1"),
        ("docker:2375", "docker"),
        ("tcp://[2001:db8::1]:2376", "2001:db8::1"),
        ("tcp://[2001", ""),
    ],
)
def test_a_docker_endpoint_has_a_host_or_is_a_socket(endpoint: str, host: str) -> None:
    assert docker_host(endpoint) == host
