"""The firewall's rows of `verify`: every way in which a host is not as described is found."""

from __future__ import annotations

import socket
from typing import Any

import pytest

from hosts import firewall_rows, reachable
from hosts.docker_ports import Kernel
from hosts.firewall_facts import Firewall
from hosts.ufw import Added, Rule
from tests.hosts.test_firewall_plan import DEFAULTS, RULES, closed

FEW = (*RULES, Rule(9090, "10.0.0.0/8", "prometheus, management"))


def judged(found: Firewall, rules: tuple[Rule, ...] = RULES) -> dict[str, str]:
    return {row.what: row.verdict for row in firewall_rows.inside(rules, found)}


def test_a_host_as_described_is_ok() -> None:
    assert set(judged(closed()).values()) == {"ok"}


def test_a_kernel_without_ipv6_is_not_missing_it() -> None:
    found = judged(closed(kernel={4: closed().kernel[4]}, families=(4,)))
    assert set(found.values()) == {"ok"}
    assert "Docker's ports, IPv6" not in found


@pytest.mark.parametrize(
    ("more", "what", "verdict"),
    [
        ({"running": False}, "firewall", "differs"),
        ({"at_boot": False}, "firewall", "differs"),
        ({"defaults": DEFAULTS | {"IPV6": "no"}}, "ufw IPV6", "differs"),
        ({"defaults": DEFAULTS | {"DEFAULT_INPUT_POLICY": "ACCEPT"}}, "ufw DEFAULT_INPUT_POLICY", "differs"),
        ({"added": closed().added[:1]}, "ufw allow 443/tcp", "missing"),
        ({"added": (closed().added[0], Added("deny 443/tcp"))}, "ufw allow 443/tcp", "differs"),
        ({"added": (*closed().added, Added("allow 80/tcp", "veloz: http"))}, "ufw allow 80/tcp", "differs"),
        ({"added": (*closed().added, Added("allow 2222/tcp"))}, "ufw allow 2222/tcp", "skipped"),
        ({"blocks": {}}, "/etc/ufw/after.rules: Docker's ports", "differs"),
        ({"kernel": {}}, "Docker's ports, IPv6", "differs"),
        ({"rivals": ("nftables",)}, "nftables, another firewall", "differs"),
        ({"armed": True}, "the way back", "differs"),
    ],
)
def test_what_is_not_so_is_found(more: dict[str, Any], what: str, verdict: str) -> None:
    assert judged(closed(**more))[what] == verdict


@pytest.mark.parametrize(
    ("rule", "verdict"),
    [("-j ACCEPT", "differs"), ("-j theirs", "differs"), ("-j f2b-sshd", "ok"), ("-s 192.0.2.9/32 -j DROP", "ok")],
)
def test_somebody_elses_rule_before_ours_matters_only_when_it_lets_pass(rule: str, verdict: str) -> None:
    chains = ("-A theirs -p tcp -j ACCEPT", "-A f2b-sshd -s 198.51.100.7/32 -j DROP", "-A f2b-sshd -j RETURN")
    ours = closed().kernel[4].security
    row = {
        row.what: row
        for row in firewall_rows.inside(RULES, closed(kernel={4: Kernel((f"-A FORWARD {rule}", *ours, *chains))}))
    }["Docker's ports, IPv4"]
    assert row.verdict == verdict
    assert row.have == ("so" if verdict == "ok" else f"passed by: -A FORWARD {rule}")


def test_what_others_accept_in_dockers_chain_is_no_difference() -> None:
    kernel = {
        family: it._replace(docker_user=("-A DOCKER-USER -j ACCEPT", "-A DOCKER-USER -j f2b-sshd"))
        for family, it in closed().kernel.items()
    }
    assert set(judged(closed(kernel=kernel)).values()) == {"ok"}


@pytest.mark.parametrize(
    ("line", "verdict"), [("allow 9090", "differs"), ("allow 9090/tcp", "differs"), ("deny 9090/tcp", "skipped")]
)
def test_somebody_elses_rule_that_opens_more_than_described_differs(line: str, verdict: str) -> None:
    assert judged(closed(added=(*closed().added, Added(line))), FEW)[f"ufw {line}"] == verdict


@pytest.mark.parametrize(
    ("here", "port", "accepted", "verdict"),
    [
        ("192.0.2.7", 443, True, "ok"),
        ("192.0.2.7", 443, False, "differs"),
        ("192.0.2.7", 22, True, "ok"),
        ("192.0.2.8", 22, True, "differs"),
        ("192.0.2.8", 22, False, "ok"),
        ("10.1.2.3", 9090, False, "differs"),
        ("10.1.2.3", 5432, True, "differs"),
        ("10.1.2.3", 5432, False, "ok"),
        ("fd00::1", 22, True, "differs"),
        ("", 443, True, "ok"),
        ("", 22, True, "skipped"),
        ("", 5432, True, "differs"),
    ],
)
def test_what_is_seen_from_outside(here: str, port: int, *, accepted: bool, verdict: str) -> None:
    rows = firewall_rows.outside(FEW, here, "192.0.2.1", {22, 443, 5432, 9090}, {port} if accepted else set())
    assert {row.what: row.verdict for row in rows}[f"192.0.2.1 port {port}, from here"] == verdict


def test_nobody_listening_is_not_a_closed_port() -> None:
    rows = firewall_rows.outside(RULES, "192.0.2.7", "192.0.2.1", {22}, {22})
    assert [(row.verdict, row.why) for row in rows if "443" in row.what] == [("skipped", "nobody listens there")]


def test_ports_are_tried_for_real() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_server(("127.0.0.1", 0)) as other:
        port, gone = server.getsockname()[1], other.getsockname()[1]
        other.close()
        assert reachable.reached([("127.0.0.1", port), ("127.0.0.1", gone)]) == {("127.0.0.1", port)}
