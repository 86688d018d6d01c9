"""Whether a host is the machine that asks, and on which host a Docker daemon is."""

from __future__ import annotations

import ipaddress
from typing import Final
from urllib.parse import urlsplit

# Sockets, which nobody reaches from elsewhere.
_LOCAL: Final = frozenset({"unix", "npipe", "fd"})
_USUAL: Final = "tcp"


def is_this(host: str) -> bool:
    """Whether a name or an address, without a port, is this machine to whoever asks."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        name = host.lower().rstrip(".")
        return name == "localhost" or name.endswith(".localhost")


def docker_host(endpoint: str) -> str:
    """The host in an endpoint of Docker's, e.g. ssh://veloz@192.0.2.7; empty: a socket of this machine, or none."""
    whole = endpoint if "://" in endpoint else f"{_USUAL}://{endpoint}"
    try:
        parts = urlsplit(whole)
    except ValueError:
        return ""
    return "" if parts.scheme in _LOCAL else parts.hostname or ""
