"""Ports that Docker publishes on a firewalled host obey the description too, seen from another host (F2)."""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterable, Iterator
from typing import Final

import pytest

from hosts import firewalling
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
START_SECONDS = 60
IPV6: Final[dict[str, dict[str, object]]] = {
    "its proxy": {},
    "its ip6tables": {"ipv6": True, "fixed-cidr-v6": "fd77:d0::/64", "experimental": True, "ip6tables": True},
}

IMAGE = """
set -e
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
apt-get install -y -qq --no-install-recommends docker.io busybox-static >/dev/null 2>&1
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
        """All listen again, by the host's own word."""
        want = {SSH, *DECLARED, *UNDECLARED}
        end = time.monotonic() + START_SECONDS
        while not want <= {int(p) for p in self.host.ssh("ss -ltnH | awk '{print $4}' | sed 's/.*://'").split()}:
            assert time.monotonic() < end, self.host.ssh("docker ps -a; ss -ltn")

    def seen(self, ports: Iterable[int]) -> dict[str, set[int]]:
        return reached(self.outsider, self.addresses, ports)

    def only_declared(self, ports: Iterable[int] = (SSH, *DECLARED, *UNDECLARED)) -> None:
        """Never anything else, also while Docker starts; and the declared ones when it has."""
        end = time.monotonic() + START_SECONDS
        while True:
            found = self.seen(ports)
            assert {address: seen - DECLARED for address, seen in found.items()} == {
                address: set() for address in self.addresses
            }
            if all(seen == DECLARED for seen in found.values()):
                return
            assert time.monotonic() < end, f"declared and not reached: {found}"


@pytest.fixture(scope="module")
def either(bare_host: Making) -> Iterator[Daemon]:
    with both_families("firewall-f2", 72) as places:
        try:
            host = bare_host("firewall-f2", *places.options(2), "-v", "/var/lib/docker")
            outsider = bare_host("firewall-f2-outsider", *places.options(3))
            host.ssh(IMAGE)
            made = Daemon(host, outsider, places)
            made.run()
            yield made
        finally:
            subprocess.run(
                ["docker", "rm", "-fv", "firewall-f2", "firewall-f2-outsider"], check=False, capture_output=True
            )


def on(daemon: Daemon) -> list[str]:
    told = firewalling.firewall((Member(daemon.host.machine, SPEC),), quiet())
    return list(told["hosts"][daemon.host.address]["changes"])


@pytest.fixture(scope="module", params=list(IPV6))
def daemon(request: pytest.FixtureRequest, either: Daemon) -> Daemon:
    """In each of Docker's ways to bring IPv6 to containers; the firewall is off until the test of it."""
    firewalling.firewall((Member(either.host.machine, SPEC),), quiet(), off=True)
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


def test_a_rule_of_somebody_else_in_dockers_chain_stays(daemon: Daemon) -> None:
    rule = "DOCKER-USER -s 198.51.100.7/32 -j DROP"
    daemon.host.ssh(f"iptables -I {rule}")
    assert on(daemon)
    daemon.host.ssh("ufw reload")
    assert f"-A {rule}" in daemon.host.ssh("iptables -S DOCKER-USER")
    daemon.only_declared()
    assert on(daemon) == []
