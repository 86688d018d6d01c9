"""A certificate of the administrator's own is looked at before anything is changed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from hosts.inventory import Member
from hosts.provided import read
from stacks.commands.certificates import generate
from stacks.commands.failures import Failure
from stacks.document import load
from stacks.machines import Machine

MADE = generate("test", ["trade.example.com"])


def member(source: str = "provided", user: str = "root", hostname: str = "trade.example.com") -> Member:
    fields: dict[str, Any] = {"topology": "compose", "edge": {"hostname": hostname, "tls": {"source": source}}}
    return Member(Machine(address="192.0.2.7", user=user), load(fields))


@pytest.fixture
def environ(tmp_path: Path) -> dict[str, str]:
    for name, text in (("crt", MADE.certificate), ("key", MADE.key)):
        (tmp_path / name).write_text(text)
    return {"TLS_CERTIFICATE": str(tmp_path / "crt"), "TLS_KEY": str(tmp_path / "key")}


def test_it_is_read_and_never_shown(environ: dict[str, str]) -> None:
    found = read(member(), environ)
    assert found == (MADE.certificate, MADE.key)
    assert repr(found) == "Provided(…)"
    assert read(member(), {}) is None


@pytest.mark.parametrize(
    ("who", "changed", "why"),
    [
        (member(source="generated"), {}, "edge.tls.source = generated: TLS_CERTIFICATE and TLS_KEY are for provided"),
        (member(user="admin"), {}, "a key is uploaded by root alone"),
        (member(hostname="other.example.com"), {}, "is for trade.example.com and must be for edge.hostname other"),
        (member(), {"TLS_KEY": ""}, r"TLS_KEY = \(nothing\): cannot be read"),
        (member(), {"TLS_KEY": "/nowhere"}, "TLS_KEY = /nowhere: cannot be read"),
        (member(), {"TLS_CERTIFICATE": __file__}, "must be PEM"),
    ],
)
def test_what_is_of_no_use_is_refused(environ: dict[str, str], who: Member, changed: dict[str, str], why: str) -> None:
    with pytest.raises(Failure, match=why):
        read(who, environ | changed)
