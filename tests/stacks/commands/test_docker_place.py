"""A Docker host that is not this machine: an edge that is reached there alone is refused before anything is changed."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from stacks.commands import docker_facts, docker_findings, docker_place
from stacks.commands.docker_place import Place
from stacks.commands.findings import Finding
from stacks.document import load

SINGLE: dict[str, Any] = {"topology": "single"}
COMPOSE: dict[str, Any] = {"topology": "compose"}
EVERYWHERE: dict[str, Any] = {**COMPOSE, "edge": {"address": "0.0.0.0", "hostname": "veloz.example"}}  # noqa: S104
OWN: dict[str, Any] = {**COMPOSE, "edge": {"address": "192.0.2.9", "hostname": "veloz.example"}}
AWAY = Place("192.0.2.7")
ALIAS = Place("trading", known=False)


def edge(document: dict[str, Any], place: Place) -> Finding | None:
    facts = docker_facts.Facts("ssh://x", version="27", place=place)
    found = docker_findings.findings(load(document), facts)
    return next((one for one in found if one.what == "edge"), None)


@pytest.mark.parametrize("place", [AWAY, ALIAS])
@pytest.mark.parametrize("document", [SINGLE, COMPOSE])
def test_a_loopback_edge_on_another_machine_is_refused(document: dict[str, Any], place: Place) -> None:
    found = edge(document, place)
    assert found is not None
    assert (found.verdict, found.have) == ("refused", f"edge.address 127.0.0.1, which {place.host} alone reaches")
    assert f"by ssh {place.host}" in found.remedy
    # No other address is any use in single.
    assert ("by edge.address" in found.remedy) == (document is COMPOSE)


def test_a_name_that_ssh_alone_knows_is_nowhere_to_wait_at() -> None:
    found = edge(EVERYWHERE, ALIAS)
    assert found is not None
    assert (found.verdict, found.have) == ("refused", "trading, which is not found from here")


@pytest.mark.parametrize(
    ("document", "place", "have"),
    [(EVERYWHERE, AWAY, "192.0.2.7"), (OWN, AWAY, "192.0.2.9"), (OWN, ALIAS, "192.0.2.9")],
)
def test_an_edge_that_is_reached_from_here_is_taken(document: dict[str, Any], place: Place, have: str) -> None:
    found = edge(document, place)
    assert found is not None
    assert (found.verdict, found.have) == ("ok", have)


@pytest.mark.parametrize("document", [SINGLE, COMPOSE, EVERYWHERE, OWN])
def test_on_this_machine_there_is_nothing_to_say(document: dict[str, Any]) -> None:
    assert edge(document, Place()) is None


@pytest.mark.parametrize(
    ("endpoint", "place"),
    [
        ("unix:///var/run/docker.sock", Place()),
        ("tcp://127.0.0.1:2375", Place()),
        ("ssh://me@localhost", Place()),
        ("ssh://veloz@192.0.2.7", AWAY),
        ("tcp://192.0.2.7:2376", AWAY),
    ],
)
def test_an_endpoint_says_whose_machine_it_is(endpoint: str, place: Place) -> None:
    assert docker_place.look(endpoint) == place


def test_a_name_is_looked_up_and_this_machine_s_own_address_is_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    names = {"me.example": "127.0.0.9", "other.example": "192.0.2.7"}

    def found(host: str, *_: object, **__: object) -> list[Any]:
        if host not in names:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (names[host], 0))]

    monkeypatch.setattr(socket, "getaddrinfo", found)
    assert docker_place.look("tcp://me.example:2376") == Place()
    assert docker_place.look("tcp://other.example:2376") == Place("other.example")
    assert docker_place.look("ssh://trading") == ALIAS
