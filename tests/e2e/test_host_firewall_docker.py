"""Ports that Docker publishes on a firewalled host obey the description too, seen from another host."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterable, Iterator
from typing import Final

import pytest

from hosts import firewall_rows, firewalling
from hosts.inventory import Member
from stacks import reach
from stacks.document import load
from tests.e2e.bare_host import BareHost, Making, bare_host
from tests.e2e.outsider import EVERY_PORT, Places, both_families, reached
from tests.e2e.test_host_firewall import quiet

__all__ = ["bare_host"]

pytestmark = pytest.mark.timeout(1800)
SPEC = load({"topology": "compose", "edge": {"address": "0.0.0.0", "hostname": "veloz.example.com"}})  # noqa: S104
DECLARED: Final = {published.port for published in reach.published(SPEC)}
# Published on all addresses of the host: port there → in the container. The last is called like a declared one inside.
UNDECLARED: Final = {5432: 5432, 6379: 6379, 8080: 8080, 8088: 80, 9443: 443}
SSH = 22
START_SECONDS = 180
IPV6: Final[dict[str, dict[str, object]]] = {
    "its proxy": {},
    "its ip6tables": {"ipv6": True, "fixed-cidr-v6": "fd77:d0::/64", "experimental": True, "ip6tables": True},
}

IMAGE = """
set -e
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends docker.io busybox-static ipset >/dev/null 2>&1
command -v docker >/dev/null || apt-get install -y -qq --no-install-recommends docker-cli >/dev/null 2>&1
mkdir -p /root/image/bin && cp /bin/busybox /root/image/bin/ && ln -sf busybox /root/image/bin/sh
tar -C /root/image -c . | docker import - box >/dev/null
docker network create own >/dev/null
"""


class Daemon:
    """Docker on the host, its containers, and where they are seen from."""

    def __init__(self, host: BareHost, outsider: BareHost, places: Places) -> None:
        self.host, self.outsider, self.addresses = host, outsider, places.of(2)

    def run(self) -> None:
        ports = {**{port: 8000 + port for port in DECLARED}, **UNDECLARED}
        for number, (port, inside) in enumerate(sorted(ports.items())):
            network = "own" if number % 2 else "bridge"
            self.host.ssh(
                f"docker run -d --restart always --name p{port} --network {network} -p {port}:{inside} box "
                f"/bin/busybox httpd -f -p {inside} -h /bin"
            )

    def settle(self) -> None:
        """All listen again, by the host's own word; those too that Docker gave up to start while the host was busy."""
        want = {SSH, *DECLARED, *UNDECLARED}
        end = time.monotonic() + START_SECONDS
        while not want <= {int(p) for p in self.host.ssh("ss -ltnH | awk '{print $4}' | sed 's/.*://'").split()}:
            assert time.monotonic() < end, self.host.ssh("docker ps -a; ss -ltn")
            time.sleep(1)
            self.host.ssh("docker start $(docker ps -aq)", check=False)

    def seen(self, ports: Iterable[int]) -> dict[str, set[int]]:
        return reached(self.outsider, self.addresses, ports)

    def only_declared(self, ports: Iterable[int] = (SSH, *DECLARED, *UNDECLARED)) -> None:
        """Never anything else, also while Docker starts; the declared ones when it has, and nothing else when all have."""
        end = time.monotonic() + START_SECONDS
        settled = False
        while True:
            found = self.seen(ports)
            assert {address: seen - DECLARED for address, seen in found.items()} == {
                address: set() for address in self.addresses
            }
            if all(seen == DECLARED for seen in found.values()):
                if settled:
                    return
                # An undeclared one whose container has not started yet says nothing.
                self.settle()
                settled, ports, end = True, (SSH, *DECLARED, *UNDECLARED), time.monotonic() + START_SECONDS
            assert time.monotonic() < end, f"declared and not reached: {found}"


@pytest.fixture(scope="module")
def either(bare_host: Making) -> Iterator[Daemon]:
    with both_families("firewall-docker", 72) as places:
        try:
            host = bare_host("firewall-docker", *places.options(2), "-v", "/var/lib/docker")
            outsider = bare_host("firewall-docker-outsider", *places.options(3))
            host.ssh(IMAGE)
            made = Daemon(host, outsider, places)
            made.run()
            yield made
        finally:
            subprocess.run(
                ["docker", "rm", "-fv", "firewall-docker", "firewall-docker-outsider"], check=False, capture_output=True
            )


def told(daemon: Daemon, *, off: bool = False) -> dict[str, list[str]]:
    """What the command says of the host: changes, notes."""
    said = firewalling.firewall((Member(daemon.host.machine, SPEC),), quiet(), off=off)
    return dict(said["hosts"][daemon.host.address])


def on(daemon: Daemon) -> list[str]:
    return told(daemon)["changes"]


def wrong(daemon: Daemon) -> set[str]:
    rows = firewall_rows.rows(Member(daemon.host.machine, SPEC), daemon.host.session)
    return {row.what for row in rows if row.verdict in {"missing", "differs"}}


@pytest.fixture(scope="module", params=list(IPV6))
def daemon(request: pytest.FixtureRequest, either: Daemon) -> Daemon:
    """In each of Docker's ways to bring IPv6 to containers; the firewall is off until the test of it."""
    told(either, off=True)
    settings = json.dumps(IPV6[request.param])
    either.host.ssh("cat >/etc/docker/daemon.json; systemctl restart docker", stdin=settings)
    either.settle()
    return either


def test_without_the_firewall_every_published_port_is_open(daemon: Daemon) -> None:
    every = {SSH, *DECLARED, *UNDECLARED}
    found = daemon.seen(every)
    assert {address: ports for address, ports in found.items() if ports != every} == {}


def test_of_every_port_only_the_declared_are_reached(daemon: Daemon) -> None:
    assert on(daemon)
    daemon.only_declared()
    daemon.only_declared(EVERY_PORT)
    assert on(daemon) == []


@pytest.mark.parametrize(
    "event",
    [
        "systemctl restart docker",
        "ufw reload",
        "systemctl stop docker docker.socket; ufw reload; systemctl start docker",
        "systemctl restart ufw",
    ],
)
def test_the_same_after(daemon: Daemon, event: str) -> None:
    on(daemon)
    daemon.host.ssh(event)
    daemon.only_declared()
    assert on(daemon) == []


def test_nobody_gets_round_it_straight_to_a_container(daemon: Daemon) -> None:
    on(daemon)
    addresses = daemon.host.ssh(
        "docker inspect -f '{{range .NetworkSettings.Networks}}{{.IPAddress}} {{.GlobalIPv6Address}} {{end}}' $(docker ps -q)"
    ).split()
    for address in addresses:
        by = daemon.addresses[":" in address]
        daemon.outsider.ssh(f"ip route replace {address} via {by}")
    ports = {80, 443, *UNDECLARED.values(), *(8000 + port for port in DECLARED)}
    assert reached(daemon.outsider, addresses, ports) == {address: set() for address in addresses}


def test_containers_still_reach_out(daemon: Daemon) -> None:
    on(daemon)
    outside = daemon.addresses[0].rsplit(".", 1)[0] + ".3"
    for name in daemon.host.ssh("docker ps --format '{{.Names}}'").split():
        banner = daemon.host.ssh(
            f"docker exec {name} /bin/busybox timeout 5 busybox nc {outside} 22 </dev/null | head -1"
        )
        assert banner.startswith("SSH-"), name


def test_the_same_after_a_reboot(daemon: Daemon) -> None:
    on(daemon)
    daemon.host.reboot()
    daemon.only_declared()
    assert on(daemon) == []


# As fail2ban and crowdsec do: none of it is there when a host boots.
THEIRS = """
iptables -N f2b-test && iptables -A f2b-test -s 198.51.100.8/32 -j REJECT && iptables -A f2b-test -j RETURN
ipset create crowdsec-test hash:ip -exist && ipset add crowdsec-test 198.51.100.9 -exist
iptables -I DOCKER-USER -j f2b-test
iptables -I DOCKER-USER -m set --match-set crowdsec-test src -j DROP
iptables -I DOCKER-USER -s 198.51.100.7/32 -j DROP
"""


def in_dockers_chain(daemon: Daemon) -> str:
    return daemon.host.ssh("iptables -S DOCKER-USER; iptables -S f2b-test")


def without_theirs(daemon: Daemon) -> None:
    daemon.host.ssh(
        "iptables -F DOCKER-USER; iptables -F f2b-test; iptables -X f2b-test; ipset destroy crowdsec-test; "
        "for t in iptables ip6tables; do $t -t security -F FORWARD; $t -t security -F own; $t -t security -X own; done",
        check=False,
    )
    on(daemon)


def test_rules_of_others_that_need_what_is_not_there_at_boot_keep_nothing_from_loading(daemon: Daemon) -> None:
    on(daemon)
    daemon.host.ssh(THEIRS)
    was = in_dockers_chain(daemon)
    # Something to do, so that ufw is loaded anew.
    daemon.host.ssh("iptables -t security -F veloz-docker")
    assert on(daemon)
    assert in_dockers_chain(daemon) == was
    daemon.host.ssh("ufw reload")
    assert in_dockers_chain(daemon) == was
    daemon.only_declared()
    assert on(daemon) == []

    daemon.host.reboot()
    assert "f2b-test" not in daemon.host.ssh("iptables-save"), "this test shows nothing: their chain came back alone"
    assert "Status: active" in daemon.host.ssh("ufw status")
    assert daemon.host.ssh("systemctl is-failed ufw", check=False).strip() == "active"
    daemon.only_declared()
    assert on(daemon) == []

    daemon.host.ssh(THEIRS)
    assert on(daemon) == []
    assert in_dockers_chain(daemon) == was
    assert wrong(daemon) == set()
    assert told(daemon, off=True)["changes"]
    assert in_dockers_chain(daemon) == was
    without_theirs(daemon)


@pytest.mark.parametrize(
    "rule", ["DOCKER-USER -j ACCEPT", "FORWARD -j ACCEPT", "DOCKER-USER -p tcp -m tcp --dport 5432 -j ACCEPT"]
)
def test_nothing_that_others_accept_opens_a_port_of_dockers(daemon: Daemon, rule: str) -> None:
    on(daemon)
    daemon.host.ssh(f"iptables -I {rule}; ip6tables -I {rule}", check=False)
    daemon.only_declared()
    said = told(daemon)
    assert said["changes"] == []
    assert any(f"-A {rule} (IPv4)" in note for note in said["notes"]) == rule.startswith("DOCKER-USER")
    assert wrong(daemon) == set()
    daemon.host.ssh(f"iptables -D {rule}; ip6tables -D {rule}", check=False)


def test_rules_of_others_beside_ours_stay_and_one_that_may_not_load_at_boot_is_not_written(daemon: Daemon) -> None:
    on(daemon)
    add = """
    for t in iptables ip6tables; do
      $t -t security -N own && $t -t security -A own -j ACCEPT
      $t -t security -I FORWARD -m comment --comment "it's \\"mine\\"" -j own
    done
    iptables -t security -A FORWARD -s 198.51.100.7/32 -j DROP
    """
    daemon.host.ssh(add)
    assert {"/etc/ufw/after.rules: Docker's ports", "Docker's ports, IPv4", "Docker's ports, IPv6"} <= wrong(daemon)
    assert f"{daemon.addresses[0]} port 5432, from here" in wrong(daemon), (
        "theirs opens nothing: this test shows nothing"
    )
    said = told(daemon)
    assert any(" -j own (IPv6" in note and "needs own" in note for note in said["notes"])
    assert said["changes"][-1] == "~ the firewall is loaded anew"
    assert on(daemon) == []
    assert wrong(daemon) == set()
    lines = daemon.host.ssh("iptables -t security -S FORWARD").splitlines()
    assert [line.split()[-1] for line in lines] == ["ACCEPT", "veloz-docker", "DROP", "own"]
    assert daemon.host.ssh("ip6tables -t security -S FORWARD").splitlines()[-1].endswith("-j own")
    assert "own" not in daemon.host.ssh("cat /etc/ufw/after.rules /etc/ufw/after6.rules").split()
    daemon.only_declared()

    daemon.host.reboot()
    daemon.only_declared()
    assert on(daemon) == []
    assert "-A FORWARD -s 198.51.100.7/32 -j DROP" in daemon.host.ssh("iptables -t security -S FORWARD")
    daemon.host.ssh("iptables -t security -N own; iptables -t security -A FORWARD -j own")
    assert on(daemon) == []
    assert told(daemon, off=True)["changes"]
    left = [line.split()[-1] for line in daemon.host.ssh("iptables -t security -S FORWARD").splitlines()]
    assert sorted(left) == ["ACCEPT", "DROP", "own"]
    without_theirs(daemon)


def test_off_leaves_what_is_forwarded_to_docker_that_came_since(daemon: Daemon) -> None:
    """The copy of before the first run says ACCEPT; Docker says DROP when it is what switches forwarding on."""
    told(daemon, off=True)
    daemon.host.ssh(
        "systemctl stop docker docker.socket; for t in iptables ip6tables; do for table in filter nat; do "
        "$t -t $table -F; $t -t $table -X; done; $t -P FORWARD ACCEPT; done"
    )
    assert on(daemon)
    daemon.host.ssh("systemctl start docker")
    daemon.only_declared()
    assert told(daemon, off=True)["changes"]
    assert daemon.host.ssh("iptables -S FORWARD").splitlines()[0] == "-P FORWARD DROP"
    every = {SSH, *DECLARED, *UNDECLARED}
    assert daemon.seen(every) == dict.fromkeys(daemon.addresses, every)


@pytest.fixture
def legacy(either: Daemon) -> Iterator[Daemon]:
    """All with the older iptables, whose tables are others in the kernel."""
    told(either, off=True)
    switch = (
        "systemctl stop docker docker.socket; nft flush ruleset; for t in iptables ip6tables; do "
        "for table in filter nat security; do $t-legacy -t $table -F; $t-legacy -t $table -X; done; "
        "update-alternatives --set $t /usr/sbin/$t-{}; done; systemctl start docker"
    )
    either.host.ssh(switch.format("legacy"))
    either.settle()
    yield either
    told(either, off=True)
    either.host.ssh(switch.format("nft"))
    either.settle()


def test_the_same_with_the_older_iptables(legacy: Daemon) -> None:
    legacy.host.ssh(THEIRS)
    was = in_dockers_chain(legacy)
    assert on(legacy)
    assert "-A veloz-docker" in legacy.host.ssh("iptables-legacy -t security -S")
    legacy.only_declared()
    assert on(legacy) == []
    assert wrong(legacy) == set()
    assert in_dockers_chain(legacy) == was
    legacy.host.reboot()
    legacy.only_declared()
    assert on(legacy) == []
