"""`verify` finds what is not as described on a real host's firewall, from inside and from outside."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator

import pytest

from hosts import firewall_rows
from hosts.inventory import Member
from tests.e2e.bare_host import BareHost, Making, bare_host
from tests.e2e.outsider import both_families
from tests.e2e.test_host_firewall import SPEC, on

__all__ = ["bare_host"]

pytestmark = pytest.mark.timeout(900)
NAME = "firewall-verify"


@pytest.fixture(scope="module")
def host(bare_host: Making) -> Iterator[BareHost]:
    with both_families(NAME, 73) as places:
        try:
            made = bare_host(NAME, *places.options(2))
            on(made)
            for port in (443, 5432):
                made.ssh(f"systemd-run --quiet python3 -m http.server --bind :: {port}")
            yield made
        finally:
            subprocess.run(["docker", "rm", "-f", NAME], check=False, capture_output=True)


def wrong(host: BareHost) -> dict[str, str]:
    rows = firewall_rows.rows(Member(host.machine, SPEC), host.session)
    return {row.what: f"{row.want} → {row.have}" for row in rows if row.verdict in {"missing", "differs"}}


def test_nothing_is_wrong_after_it_was_applied(host: BareHost) -> None:
    rows = firewall_rows.rows(Member(host.machine, SPEC), host.session)
    assert {row.what: row.verdict for row in rows if row.verdict not in {"ok", "skipped"}} == {}
    seen = {row.what: row.have for row in rows if row.verdict == "ok"}
    four, six = host.address, "fd77:73::2"
    for address in (four, six):
        assert seen[f"{address} port 443, from here"] == "open"
        assert seen[f"{address} port 5432, from here"] == "closed"


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ("ufw delete allow 443/tcp", "ufw allow 443/tcp"),
        ("ufw delete allow 443/tcp", "172.29.73.2 port 443, from here"),
        ("ufw allow 5432/tcp", "172.29.73.2 port 5432, from here"),
        ("ufw allow 5432/tcp", "fd77:73::2 port 5432, from here"),
        ("ufw --force disable", "firewall"),
        ("ufw default allow incoming", "ufw DEFAULT_INPUT_POLICY"),
        ("ufw default allow incoming", "fd77:73::2 port 5432, from here"),
        ("ufw logging off", "ufw LOGLEVEL"),
        ("sed -i s/^IPV6=.*/IPV6=no/ /etc/default/ufw", "ufw IPV6"),
        ("iptables -t security -F FORWARD", "Docker's ports, IPv4"),
        ("ip6tables -t security -D veloz-docker 1", "Docker's ports, IPv6"),
        ("iptables -t security -I FORWARD -p tcp -j ACCEPT", "Docker's ports, IPv4"),
        ("sed -i '/-o docker0 -j DROP/d' /etc/ufw/after6.rules", "/etc/ufw/after6.rules: Docker's ports"),
        ("systemctl disable ufw", "firewall"),
        # Behind ufw's back: only who looks from outside sees it.
        ("ip6tables -I INPUT -p tcp --dport 5432 -j ACCEPT", "fd77:73::2 port 5432, from here"),
        ("iptables -I INPUT -p tcp --dport 443 -j DROP", "172.29.73.2 port 443, from here"),
    ],
)
def test_a_change_is_found_and_put_right(host: BareHost, change: str, what: str) -> None:
    host.ssh(change)
    assert what in wrong(host)
    host.ssh(
        "ufw delete allow 5432/tcp >/dev/null 2>&1; for t in iptables ip6tables; do "
        "$t -t security -D FORWARD -p tcp -j ACCEPT 2>/dev/null; "
        "$t -D INPUT -p tcp --dport 5432 -j ACCEPT 2>/dev/null; $t -D INPUT -p tcp --dport 443 -j DROP 2>/dev/null; done; true"
    )
    on(host)
    assert wrong(host) == {}
