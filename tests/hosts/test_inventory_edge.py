"""Where a host that is only named on the command line is met by clients."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hosts import inventory
from hosts.inventory import members
from stacks.commands.failures import Failure


@pytest.mark.parametrize(
    ("host", "address", "hostname"),
    [
        ("root@192.0.2.7", "0.0.0.0", "192.0.2.7"),  # noqa: S104
        ("trade.example.com", "0.0.0.0", "trade.example.com"),  # noqa: S104
        ("root@DB1.Example.com", "0.0.0.0", "db1.example.com"),  # noqa: S104
        ("root@[2001:db8::7]", "127.0.0.1", "localhost"),
        ("2001:DB8::7", "127.0.0.1", "localhost"),
        ("localhost", "127.0.0.1", "localhost"),
        ("LocalHost", "127.0.0.1", "localhost"),
    ],
)
def test_at_its_own_name_or_ipv4_address(host: str, address: str, hostname: str) -> None:
    (member,) = members(host)
    assert (member.spec.edge.address, member.spec.edge.hostname) == (address, hostname)


def test_a_name_that_is_none_for_clients_is_refused_and_asks_for_a_description(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Failure, match=r"HOST = 'db_1': .*say STACK=… of a description with edge\.hostname"):
        members("root@db_1", clients=True)
    [alias] = members("root@db_1")  # of SSH's settings, which is enough to tune it
    assert (alias.machine.address, alias.spec.edge.hostname) == ("db_1", "localhost")
    document = {"config": {"veloz:deployment": {"topology": "compose", "edge": {"hostname": "trade.example.com"}}}}
    (tmp_path / "Pulumi.desk.yaml").write_text(json.dumps(document))
    monkeypatch.setattr(inventory, "STACKS", tmp_path)
    [found] = members("root@db_1", stack="desk", clients=True)
    assert (found.machine.address, found.spec.edge.hostname) == ("db_1", "trade.example.com")


@pytest.mark.parametrize(
    ("written", "said"), [("db1.example.com", "DB1.example.com"), ("2001:DB8:0::7", "root@[2001:db8::7]:22")]
)
def test_a_machine_of_the_stack_file_is_found_however_it_is_written(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: str, said: str
) -> None:
    machine = {"address": written, "user": "admin", "roles": ["redis"]}
    document = {"config": {"veloz:deployment": {"topology": "compose", "hosts": {"machines": [machine]}}}}
    (tmp_path / "Pulumi.desk.yaml").write_text(json.dumps(document))
    monkeypatch.setattr(inventory, "STACKS", tmp_path)
    [found] = members(said, stack="desk")
    assert (found.machine.address, found.machine.roles, found.peers) == (written, ("redis",), ())


def test_what_the_command_line_says_of_a_host_counts_and_the_rest_is_the_stack_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    machine = {"address": "192.0.2.7", "user": "admin", "port": 2222, "roles": ["redis"]}
    document = {"config": {"veloz:deployment": {"topology": "compose", "hosts": {"machines": [machine]}}}}
    (tmp_path / "Pulumi.desk.yaml").write_text(json.dumps(document))
    monkeypatch.setattr(inventory, "STACKS", tmp_path)
    [found] = inventory.members("root2@192.0.2.7", stack="desk")
    assert (found.machine.user, found.machine.port, found.machine.roles) == ("root2", 2222, ("redis",))
    [found] = inventory.members("192.0.2.7", roles="gateway", stack="desk")
    assert (found.machine.user, found.machine.port, found.machine.roles) == ("admin", 2222, ("gateway",))


@pytest.fixture
def two(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A stack with two machines, the second with a key of its own; the file of another key."""
    machines = [{"address": "192.0.2.7"}, {"address": "192.0.2.8", "key": "/keys/own"}]
    document = {
        "config": {"veloz:deployment": {"topology": "compose", "hosts": {"install": "docker", "machines": machines}}}
    }
    (tmp_path / "Pulumi.two.yaml").write_text(json.dumps(document))
    monkeypatch.setattr(inventory, "STACKS", tmp_path)
    (tmp_path / "key").touch()
    return tmp_path / "key"


def test_a_key_without_a_host_is_for_all_that_name_none(two: Path) -> None:
    assert [one.machine.key for one in members(key=str(two), stack="two")] == [str(two), "/keys/own"]
    assert [one.machine.key for one in members(stack="two")] == ["", "/keys/own"]
    with pytest.raises(Failure, match=r"SSH_KEY = .*no such file"):
        members(key="/no/such/key", stack="two")


@pytest.mark.usefixtures("two")
def test_roles_without_a_host_are_refused() -> None:
    with pytest.raises(Failure, match=r"ROLES = 'gateway': says what the host that HOST names is for.*leave ROLES out"):
        members(roles="gateway", stack="two")
