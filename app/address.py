"""Where a request comes from."""

from __future__ import annotations

import ipaddress
from collections.abc import Sequence
from typing import TypeAlias

from aiohttp import web

Network: TypeAlias = ipaddress.IPv4Network | ipaddress.IPv6Network
LOCAL = "local"


def networks(texts: Sequence[str]) -> tuple[Network, ...]:
    return tuple(ipaddress.ip_network(text) for text in texts)


def client_address(request: web.BaseRequest, proxies: Sequence[Network]) -> str:
    """The peer; behind a trusted proxy, the rightmost address in X-Forwarded-For that is no trusted proxy.

    What stands further left was written by the client and is not believed. `local` for a Unix socket.
    """
    transport = request.transport
    peer = transport.get_extra_info("peername") if transport is not None else None
    address = str(peer[0]) if isinstance(peer, tuple) and peer else LOCAL
    if not proxies or not _trusted(address, proxies):
        return address
    for hop in reversed(",".join(request.headers.getall("X-Forwarded-For", [])).split(",")):
        text = hop.strip()
        if not _is_address(text):
            return address
        address = text
        if not _trusted(address, proxies):
            return address
    return address


def is_loopback(address: str) -> bool:
    return address == LOCAL or (_is_address(address) and ipaddress.ip_address(address).is_loopback)


def site(address: str) -> str:
    """What a limit counts as one origin: an IPv4 address, or an IPv6 /64, which is what one customer has at least."""
    if not _is_address(address):
        return address
    parsed = ipaddress.ip_address(address)
    if isinstance(parsed, ipaddress.IPv6Address):
        mapped = parsed.ipv4_mapped
        return str(mapped or ipaddress.ip_network((parsed, 64), strict=False))
    return address


def _is_address(text: str) -> bool:
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _trusted(text: str, proxies: Sequence[Network]) -> bool:
    if not _is_address(text):
        return False
    address = ipaddress.ip_address(text)
    mapped = getattr(address, "ipv4_mapped", None) or address
    return any(mapped in network for network in proxies if network.version == mapped.version)
