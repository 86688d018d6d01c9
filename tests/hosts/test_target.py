"""A host as it stands on a command line, and in a stack file."""

from pathlib import Path

import pytest

from hosts.inventory import members
from hosts.target import parse, parse_roles
from stacks.commands.failures import Failure
from stacks.machines import Machine
from tuning.profile import ROLES


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("192.0.2.7", Machine(address="192.0.2.7")),
        (" deployer@host.example ", Machine(address="host.example", user="deployer")),
        ("root@192.0.2.7:2222", Machine(address="192.0.2.7", port=2222)),
        ("2001:db8::7", Machine(address="2001:db8::7")),
        ("root@[2001:db8::7]:2222", Machine(address="2001:db8::7", port=2222)),
    ],
)
def test_a_host_is_user_address_port(text: str, expected: Machine) -> None:
    assert parse(text) == expected


@pytest.mark.parametrize(
    "text", ["", "@", "a b", "root@", "host:port", "host:0", "host:70000", "Root@host", "$(id)@host"]
)
def test_what_is_no_host_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(Failure, match=r"HOST = .*e\.g\. HOST=root@192\.0\.2\.7"):
        parse(text)


def test_a_key_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Failure, match=r"SSH_KEY = .*no such file"):
        parse("host", key=str(tmp_path / "none"))
    (tmp_path / "key").touch()
    assert parse("host", key=str(tmp_path / "key")).key == str(tmp_path / "key")


def test_roles_are_named_or_all() -> None:
    assert parse_roles("") == ROLES
    assert parse_roles("engine, gateway") == ("gateway", "engine")
    with pytest.raises(Failure, match="there is no role pilot; choose from balancer"):
        parse_roles("pilot")


def test_without_a_stack_a_host_must_be_named() -> None:
    with pytest.raises(Failure, match="HOST is not given"):
        members()
    [one] = members("root@192.0.2.7")
    assert (one.machine.address, one.peers) == ("192.0.2.7", ())
