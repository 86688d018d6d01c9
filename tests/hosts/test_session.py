"""A session tells what it does, and says what the host said when it fails."""

import io
import socket
import stat
from contextlib import nullcontext
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pyinfra.connectors.fake import FakeConnector
from pyinfra.facts.server import Command
from pyinfra.operations import files, server

from hosts import session as of_hosts
from hosts.session import KNOWN_HOSTS, Session, Step, make_known_hosts, ssh_data
from stacks.commands.failures import Failure
from stacks.machines import Machine
from tests.hosts.fakes import Answers, fake_session, ran


def three(*, second: str = "two") -> None:
    server.shell(name="the first", commands=["one"])
    server.shell(name="the second", commands=[second])
    server.shell(name="the third", commands=["three"])


def test_operations_run_in_order_and_are_told_before_they_run() -> None:
    told: list[str] = []
    with fake_session({}, lambda name: told.append(f"{name} after {len(ran)}")) as session:
        assert session.run(three) == tuple(Step(f"the {name}", changed=True) for name in ("first", "second", "third"))
    assert told == ["the first after 0", "the second after 1", "the third after 2"]
    assert [command for command, _ in ran] == ["one", "two", "three"]


def test_a_plan_changes_nothing() -> None:
    with fake_session({}) as session:
        assert [step.changed for step in session.plan(three)] == [True, True, True]
    assert ran == []


def test_a_failure_says_which_operation_and_what_the_host_said_and_ends_there() -> None:
    answers: Answers = {"two": {"success": False, "stderr": ["a warning", "sysctl: permission denied on key 'x'"]}}
    with (
        fake_session(answers) as session,
        pytest.raises(Failure, match="the second: a warning / sysctl: permission denied on key 'x'"),
    ):
        session.run(three)
    assert [command for command, _ in ran] == ["one", "two"]


def test_what_a_question_returns_comes_back() -> None:
    with fake_session({"uname": "Linux"}) as session:
        assert session.ask(lambda host, more: host.get_fact(Command, command="uname") + more, "!") == "Linux!"
        assert session.fact(Command, command="uname") == "Linux"


def test_a_fact_that_fails_is_a_failure() -> None:
    with (
        fake_session({"uname": {"success": False, "stderr": "no"}}) as session,
        pytest.raises(Failure, match=r"server\.Command"),
    ):
        session.fact(Command, command="uname")


def test_a_host_that_is_not_there_is_named() -> None:
    machine = Machine(address="127.0.0.1", port=9, key="/dev/null")
    with pytest.raises(Failure, match=r"root@127\.0\.0\.1:9 cannot be reached over SSH: .*SSH_KEY"):
        Session(machine).fact(Command, command="true")


def test_another_user_than_root_uses_sudo(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KNOWN_HOSTS, raising=False)
    assert "_sudo" not in ssh_data(Machine(address="192.0.2.7"))
    assert ssh_data(Machine(address="192.0.2.7", user="deployer", port=2222, key="k")) == {
        "ssh_hostname": "192.0.2.7", "ssh_user": "deployer", "ssh_port": 2222, "ssh_key": "k", "_sudo": True,
        "ssh_strict_host_key_checking": "accept-new",
    }  # fmt: skip


def test_known_hosts_may_be_kept_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KNOWN_HOSTS, "/somewhere")
    assert ssh_data(Machine(address="192.0.2.7"))["ssh_known_hosts_file"] == "/somewhere"


def test_who_never_used_ssh_has_a_place_for_the_keys_of_hosts(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(KNOWN_HOSTS, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    make_known_hosts()
    kept = tmp_path / ".ssh/known_hosts"
    kept.write_text("a key\n")
    make_known_hosts()
    assert kept.read_text() == "a key\n"
    assert [stat.S_IMODE(path.stat().st_mode) for path in (kept, kept.parent)] == [0o600, 0o700]
    monkeypatch.setenv(KNOWN_HOSTS, str(kept / "below"))
    with pytest.raises(
        Failure, match=r"known_hosts/below: the keys of hosts cannot be kept there \(.*SSH_KNOWN_HOSTS=…"
    ):
        make_known_hosts()


def test_a_host_that_is_gone_is_noticed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening, socket.create_connection(listening.getsockname()) as one:
        asked: list[int] = []
        transport = SimpleNamespace(sock=one, set_keepalive=asked.append)
        client = SimpleNamespace(get_transport=lambda: transport)
        of_hosts.notice_its_end(SimpleNamespace(connector=SimpleNamespace(client=client)))  # type: ignore[arg-type]
        assert asked == [of_hosts.ALIVE_SECONDS]
        assert one.getsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT) == of_hosts.GONE_SECONDS * 1000


@pytest.mark.parametrize(("status", "refused"), [(0, False), (1, True), (127, True)])
def test_a_user_who_may_not_sudo_is_refused_and_never_asked_for_a_password(*, status: int, refused: bool) -> None:
    asked: list[str] = []

    def exec_command(command: str, timeout: float) -> tuple[None, SimpleNamespace, io.BytesIO]:
        asked.append(f"{command} {timeout:g}")
        channel = SimpleNamespace(recv_exit_status=lambda: status)
        return None, SimpleNamespace(channel=channel), io.BytesIO(b"sudo: a password is required\n")

    client = SimpleNamespace(exec_command=exec_command)
    host: Any = SimpleNamespace(connector=SimpleNamespace(client=client), data={"_sudo": True})
    machine = Machine(address="192.0.2.7", user="deployer")
    with (
        pytest.raises(Failure, match=r"deployer@192\.0\.2\.7: must be root.*a password is required\); say HOST=root@")
        if refused
        else nullcontext()
    ):
        of_hosts.check_rights(host, machine)
    assert asked == ["sudo -n true 10"]


def test_of_an_upload_that_breaks_pyinfras_own_words_are_told(monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_positional: object, **_named: object) -> None:
        raise OSError("size mismatch in put!  0 != 3")

    monkeypatch.setattr(FakeConnector, "put_file", full)

    def upload() -> None:
        files.put(name="a file", src=io.BytesIO(b"abc"), dest="/x", create_remote_dir=False)

    with fake_session({}) as there, pytest.raises(Failure, match=r"a file: .*size mismatch in put!  0 != 3"):
        there.run(upload)
