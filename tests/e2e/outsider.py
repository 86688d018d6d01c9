"""A bare host beside another: what the one reaches of the other, over IPv4 and IPv6, with an IPv6 network for both."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from tests.e2e.bare_host import BareHost
from tests.e2e.docker_host import docker

EVERY_PORT = range(1, 65_536)

# All connections of a batch are under way before the wait begins: a slow machine is not taken for a closed port.
_TRY = """
import errno, json, resource, select, socket, sys, time
resource.setrlimit(resource.RLIMIT_NOFILE, (2000, resource.getrlimit(resource.RLIMIT_NOFILE)[1]))
seconds, addresses, ports = json.loads(sys.stdin.read())
def batch(address, ports):
    poll, under_way, found = select.epoll(), {}, []
    for port in ports:
        one = socket.socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
        one.setblocking(False)
        one.connect_ex((address, port))
        under_way[one.fileno()] = (one, port)
        poll.register(one, select.EPOLLOUT)
    end = time.monotonic() + seconds
    left = seconds
    while under_way and left:  # once more after the end: who was kept waiting has not seen what is there
        left = max(0, end - time.monotonic())
        for number, _ in poll.poll(left):
            one, port = under_way.pop(number)
            if not one.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                found.append(port)
            poll.unregister(one)
            one.close()
    for one, _ in under_way.values():
        one.close()
    return found
size = 1000  # as many as wait in a queue of the kernel's
for address in addresses:  # its neighbour's address first: packets that wait for it are few
    batch(address, ports[:1])
print(json.dumps({a: sum((batch(a, ports[at:at + size]) for at in range(0, len(ports), size)), []) for a in addresses}))
"""


class Places(NamedTuple):
    """A network of Docker's with both families, for hosts with addresses that a reboot does not change."""

    name: str
    four: str
    six: str

    def options(self, number: int) -> tuple[str, ...]:
        four, six = self.of(number)
        return ("--network", self.name, "--ip", four, "--ip6", six)

    def of(self, number: int) -> tuple[str, str]:
        return f"{self.four}.{number}", f"{self.six}::{number:x}"


@contextmanager
def both_families(name: str, number: int) -> Iterator[Places]:
    """`number` makes the subnets: 172.29.N.0/24 and fd77:N::/64."""
    places = Places(name, f"172.29.{number}", f"fd77:{number}")
    subprocess.run(["docker", "network", "rm", name], check=False, capture_output=True)
    docker("network", "create", "--ipv6", "--subnet", f"{places.four}.0/24", "--subnet", f"{places.six}::/64", name)
    try:
        yield places
    finally:
        docker("network", "rm", name)


def reached(
    outsider: BareHost, addresses: Iterable[str], ports: Iterable[int], seconds: float = 1.2
) -> dict[str, set[int]]:
    """The ports that accept a connection, by address."""
    outsider.ssh("cat >/root/try.py", stdin=_TRY)
    told = outsider.ssh("python3 -I /root/try.py", stdin=json.dumps([seconds, list(addresses), list(ports)]))
    return {address: set(found) for address, found in json.loads(told).items()}
