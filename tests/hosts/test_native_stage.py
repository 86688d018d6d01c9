"""Stages of a native install, on a host that nobody has."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from hosts import native_stage
from hosts.inventory import Member
from stacks.commands.failures import Failure
from stacks.document import load
from stacks.machines import Machine
from tests.hosts.fakes import fake_session

ENDS = f"notAfter={datetime.now(UTC) + timedelta(days=90):%b %d %H:%M:%S %Y} GMT"
NAMES = "    DNS:trade.example.com, IP Address:2001:DB8:0:0:0:0:0:7, DNS:localhost, IP Address:127.0.0.1"
SECRETS = [f"/etc/veloz/{name} veloz:veloz 400 64" for name in ("api_key", "cluster_secret")]


def certificate(said: list[str], source: str = "generated") -> list[str]:
    """What a run does about it."""
    edge: dict[str, Any] = {"address": "0.0.0.0", "hostname": "trade.example.com", "tls": {"source": source}}  # noqa: S104
    member = Member(Machine(address="2001:db8:0::7"), load({"topology": "compose", "edge": edge}))
    with fake_session({"stat -c": SECRETS, "openssl x509": said}) as session:
        return [step.name for step in session.plan(native_stage.secrets, member, "abc", None) if step.changed]


def test_a_certificate_that_is_good_stays() -> None:
    assert certificate([ENDS, NAMES, "matches", "signed"]) == []
    assert certificate([ENDS, NAMES, "matches"], "provided") == []


@pytest.mark.parametrize(
    "said",
    [
        [],
        [ENDS, NAMES, "signed"],
        [ENDS, NAMES, "matches"],
        [ENDS, NAMES.replace("trade", "other"), "matches", "signed"],
        [f"notAfter={datetime.now(UTC) + timedelta(days=29):%b %d %H:%M:%S %Y} GMT", NAMES, "matches", "signed"],
    ],
)
def test_one_of_which_a_part_is_anothers_or_that_ends_soon_is_made_anew(said: list[str]) -> None:
    assert certificate(said) == ["certificate"]


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ([], "must be for trade.example.com, and there is none; say TLS_CERTIFICATE"),
        (
            [ENDS, NAMES],
            "tls.key must be the key of /etc/veloz/balancer/tls.crt, and is another's; say TLS_CERTIFICATE",
        ),
    ],
)
def test_a_provided_one_of_no_use_is_refused(said: list[str], why: str) -> None:
    with pytest.raises(Failure, match=why):
        certificate(said, "provided")
