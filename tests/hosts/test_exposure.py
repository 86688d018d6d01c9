"""Who may reach which port of a host, from its roles and those of the others."""

from __future__ import annotations

from typing import Any

import pytest

from hosts.exposure import Seen, names, rules, source
from hosts.inventory import Member
from hosts.ufw import Rule
from stacks import ports
from stacks.commands.failures import Failure
from stacks.document import load

OUTSIDE = {"address": "0.0.0.0", "hostname": "veloz.example.com"}  # noqa: S104 - of the description
SEEN = Seen("192.0.2.7", (22,), {"data.internal": ("10.0.0.4", "fd00::4")})
EVERY_ROLE = ["balancer", "gateway", "engine", "postgres", "redis", "monitoring"]
APART = [
    {"address": "10.0.0.1", "roles": ["balancer"]},
    {"address": "10.0.0.2", "roles": ["gateway", "engine"]},
    {"address": "10.0.0.3", "roles": ["gateway", "engine"]},
    {"address": "data.internal", "roles": ["postgres", "redis"]},
    {"address": "10.0.0.5", "roles": ["monitoring"]},
]


def member(machines: list[dict[str, Any]], at: int = 0, management: tuple[str, ...] = (), **more: Any) -> Member:  # noqa: ANN401
    hosts = {"machines": machines, "management": list(management), "install": "docker"}
    document = {"topology": "compose", "edge": OUTSIDE, "hosts": hosts}
    spec = load(document | more)
    return Member(spec.hosts.machines[at], spec)


def opened(member: Member, seen: Seen = SEEN) -> set[tuple[int, str]]:
    return {(rule.port, rule.source) for rule in rules(member, seen) if rule.action == "allow"}


WEB = {(80, ""), (443, "")}
ADMIN = {(22, "192.0.2.7")}


@pytest.mark.parametrize(
    ("at", "expected"),
    [
        (0, WEB),
        (1, {(ports.GATEWAY, "10.0.0.1"), (ports.GATEWAY, "10.0.0.3"), (ports.GATEWAY, "10.0.0.5")}),
        (3, {(port, f"10.0.0.{at}") for port in (ports.POSTGRES, ports.REDIS) for at in (2, 3)}),
        (4, set()),
    ],
    ids=["balancer", "gateway", "data", "monitoring"],
)
def test_each_host_opens_what_the_others_need_of_it(at: int, expected: set[tuple[int, str]]) -> None:
    assert opened(member(APART, at)) == ADMIN | expected


def test_one_host_for_everything_opens_its_balancer_alone() -> None:
    assert opened(member([{"address": "10.0.0.1", "roles": EVERY_ROLE}])) == ADMIN | WEB


def test_management_may_use_ssh_and_see_monitoring() -> None:
    found = opened(member(APART, 4, ("172.20.0.0/16", "fd12::/48")))
    networks = ("172.20.0.0/16", "fd12::/48")
    assert found == ADMIN | {(port, network) for port in (22, ports.PROMETHEUS, ports.GRAFANA) for network in networks}


def test_who_runs_it_comes_first_on_every_port_of_sshd() -> None:
    found = rules(member(APART, 0, ("172.20.0.0/16",)), SEEN._replace(ssh_ports=(22, 2222)))
    assert [(rule.port, rule.source) for rule in found if rule.first] == [
        (22, "192.0.2.7"),
        (2222, "192.0.2.7"),
        (22, "172.20.0.0/16"),
        (2222, "172.20.0.0/16"),
    ]
    assert found[0].first


@pytest.mark.parametrize(
    ("more", "expected"),
    [
        ({"edge": OUTSIDE | {"http_port": 8080, "https_port": 8443}}, {(8080, ""), (8443, "")}),
        # Nobody outside comes to a loopback address.
        ({"edge": {}}, set()),
    ],
    ids=["other ports", "loopback"],
)
def test_clients_come_where_the_description_publishes(more: dict[str, Any], expected: set[tuple[int, str]]) -> None:
    assert opened(member([{"address": "10.0.0.1", "roles": ["balancer"]}], **more)) == ADMIN | expected


def test_a_name_is_what_the_host_says_it_is() -> None:
    gateway = member([{"address": "10.0.0.2", "roles": ["redis"]}, {"address": "data.internal", "roles": ["gateway"]}])
    assert names(gateway) == ("data.internal",)
    assert opened(gateway) == ADMIN | {(ports.REDIS, "10.0.0.4"), (ports.REDIS, "fd00::4")}
    with pytest.raises(Failure, match="cannot find 'data"):
        rules(gateway, SEEN._replace(resolved={}))


def test_a_cluster_guards_its_own_nodes() -> None:
    with pytest.raises(Failure, match="topology kubernetes"):
        rules(member(APART, topology="kubernetes", edge={"hostname": "veloz.example.com"}), SEEN)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("192.0.2.7", "192.0.2.7"),
        ("192.0.2.7/32", "192.0.2.7"),
        ("10.1.2.3/8", "10.0.0.0/8"),
        ("fe80::1%eth0", "fe80::1"),
        ("FD77:0F1::0001", "fd77:f1::1"),
        ("0.0.0.0/0", ""),
        ("::/0", ""),
    ],
)
def test_addresses_are_spelled_as_ufw_prints_them(text: str, expected: str) -> None:
    assert source(text) == expected


def test_no_rule_is_there_twice() -> None:
    found = rules(member(APART, 1, ("192.0.2.7/32",)), SEEN)
    assert len({rule.arguments for rule in found}) == len(found)
    assert isinstance(found[0], Rule)
