"""Where a host that is only named on the command line is met by clients."""

from __future__ import annotations

import pytest

from hosts.inventory import members


@pytest.mark.parametrize(
    ("host", "address", "hostname"),
    [
        ("root@192.0.2.7", "0.0.0.0", "192.0.2.7"),  # noqa: S104
        ("trade.example.com", "0.0.0.0", "trade.example.com"),  # noqa: S104
        ("root@[2001:db8::7]", "127.0.0.1", "localhost"),
        ("localhost", "127.0.0.1", "localhost"),
    ],
)
def test_at_its_own_name_or_ipv4_address(host: str, address: str, hostname: str) -> None:
    (member,) = members(host)
    assert (member.spec.edge.address, member.spec.edge.hostname) == (address, hostname)
