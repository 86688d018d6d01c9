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

_TRY = """
import asyncio, json, resource, sys
most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
seconds, addresses, ports = json.loads(sys.stdin.read())
async def one(address, port, few):
    async with few:
        try:
            _, writer = await asyncio.wait_for(asyncio.open_connection(address, port), seconds)
        except (OSError, asyncio.TimeoutError):
            return None
        writer.close()
        return port
async def main():
    few = asyncio.Semaphore(4000)
    found = {a: [p for p in await asyncio.gather(*(one(a, p, few) for p in ports)) if p] for a in addresses}
    print(json.dumps(found))
asyncio.run(main())
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
    outsider: BareHost, addresses: Iterable[str], ports: Iterable[int], seconds: float = 1.0
) -> dict[str, set[int]]:
    """The ports that accept a connection, by address."""
    outsider.ssh("cat >/root/try.py", stdin=_TRY)
    told = outsider.ssh("python3 -I /root/try.py", stdin=json.dumps([seconds, list(addresses), list(ports)]))
    return {address: set(found) for address, found in json.loads(told).items()}
