"""On which machine a Docker daemon is, and whether what it publishes is reached from this one."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from typing import NamedTuple

from stacks.commands.findings import Finding
from stacks.spec import EVERY_ADDRESS, Deployment
from stacks.this_machine import docker_host, is_this


class Place(NamedTuple):
    """`host` is empty where it is this machine; `known`: whether this machine finds an address of it."""

    host: str = ""
    known: bool = True


def look(endpoint: str) -> Place:
    """By names and addresses alone: what an ssh tunnel leads to is not seen."""
    host = docker_host(endpoint)
    if not host or is_this(host):
        return Place()
    try:
        addresses = {(one[0], one[4]) for one in socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)}
    except (OSError, UnicodeError):
        return Place(host, known=False)
    return Place() if any(_ours(family, address) for family, address in addresses) else Place(host)


def _ours(family: int, address: tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]) -> bool:
    """Whether this machine has the address: nothing listens there afterwards."""
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.bind(address)
    except OSError:
        return False
    return True


def findings(spec: Deployment, place: Place) -> Iterator[Finding]:
    """Of a daemon elsewhere: the command waits at the edge, and clients come to it, from here."""
    address = spec.edge.address
    if not place.host:
        return
    want = "an address that is reached from here"
    if is_this(address):
        remedy = f"Run the command on that host, e.g. by ssh {place.host}"
        if spec.topology != "single":
            remedy += ", or publish on 0.0.0.0 or an address that it has, by edge.address"
        yield Finding(
            "edge", want, f"edge.address {address}, which {place.host} alone reaches", "refused", f"{remedy}."
        )
    elif address in EVERY_ADDRESS and not place.known:
        yield Finding("edge", want, f"{place.host}, which is not found from here", "refused",
                      "Give docker.host or DOCKER_HOST a name or an address that this machine finds: an alias in "
                      "~/.ssh/config is ssh's alone. Or name an address of that host by edge.address.")  # fmt: skip
    else:
        yield Finding("edge", want, f"{place.host if address in EVERY_ADDRESS else address}")
