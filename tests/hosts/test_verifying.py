"""What `verify` says, and how it reaches a host."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from hosts import suite, verifying
from hosts.inventory import members
from hosts.session import Session
from stacks.commands.failures import Failure
from stacks.commands.output import Output
from stacks.machines import Machine
from tuning.plan import Plan
from tuning.verdict import Row


@pytest.fixture(autouse=True)
def nothing_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Session, "fact", lambda _session, _fact: None)


FINE = Row("net.a", "1", "1", "ok", "why")
SHADOWED = Row("net.b", "2", "2", "shadowed", "/etc/sysctl.d/zz.conf gives 3")


def test_a_table_then_a_sentence_for_each_that_is_not_good(capsys: pytest.CaptureFixture[str]) -> None:
    verifying.show([FINE, SHADOWED], Output())
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["value", "want", "have", "verdict"]
    assert lines[-2:] == ["net.b: shadowed: /etc/sysctl.d/zz.conf gives 3", "1 ok, 1 shadowed"]


@pytest.mark.parametrize(("row", "ok"), [(FINE, True), (SHADOWED, False)])
def test_other_parts_add_their_rows_and_any_bad_one_counts(row: Row, ok: bool, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: FBT001
    seen = SimpleNamespace(plan=Plan((), {}))
    monkeypatch.setattr(Session, "ask", lambda _session, _question, _member: seen)
    monkeypatch.setattr(suite, "rows", lambda _machine, _plan: (FINE,))
    monkeypatch.setattr(verifying, "PARTS", {"other": lambda _member, _session: (row,)})
    document = verifying.verify(members("192.0.2.7"), Output(machine=True))
    assert document["ok"] is ok
    assert [one["what"] for one in document["hosts"][0]["rows"]] == ["net.a", row.what]


def test_a_part_may_be_asked_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(verifying, "PARTS", {"other": lambda _member, _session: (FINE,)})
    document = verifying.verify(members("192.0.2.7"), Output(machine=True), "other")
    assert [one["what"] for one in document["hosts"][0]["rows"]] == ["net.a"]
    with pytest.raises(Failure, match="no such part; choose from tuning, other"):
        verifying.verify(members("192.0.2.7"), Output(machine=True), "nothing")


def test_ssh_is_told_the_key_the_known_hosts_and_to_ask_nothing() -> None:
    machine = Machine(address="192.0.2.7", key="/home/a b/key")
    lines = suite.ssh_config(machine, Path("/run/s"), "/home/known hosts").splitlines()
    assert {
        "  BatchMode yes", "  StrictHostKeyChecking accept-new", '  IdentityFile "/home/a b/key"', "  IdentitiesOnly yes",
        '  UserKnownHostsFile "/home/known hosts"', "  ControlPath /run/s",
    } <= set(lines)  # fmt: skip
    assert lines[-1] == "  Include ~/.ssh/config"  # of two values the first counts
    assert not any("Identit" in line for line in suite.ssh_config(Machine(address="x"), Path("s"), "").splitlines())


def test_a_host_that_ssh_does_not_reach_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    failed = subprocess.CompletedProcess[str]([], 255, "")
    monkeypatch.setattr(suite, "_run", lambda *_arguments: failed)
    with pytest.raises(Failure, match=r"root@192\.0\.2\.7:22 cannot be reached by `ssh`"):
        suite.rows(Machine(address="192.0.2.7"), Plan((), {}))


def test_a_failure_is_a_sentence_and_a_status_for_machines_too() -> None:
    command = [sys.executable, "-m", "hosts", "tune", "--host", "root@127.0.0.1:9", "--json"]
    done = subprocess.run(command, check=False, capture_output=True, text=True)
    assert done.returncode == 1
    document = json.loads(done.stdout)
    assert document["ok"] is False
    assert "root@127.0.0.1:9 cannot be reached over SSH" in document["error"]
    assert "Traceback" not in done.stderr
