"""What `tune` was told is kept on the host, and `verify` takes from there what nobody says again."""

import msgspec
import pytest

from hosts import told, tuning_stage
from hosts.inventory import Member, members
from hosts.session import Session
from stacks.commands.failures import Failure
from stacks.commands.output import Output
from stacks.document import load
from stacks.machines import Machine
from tests.hosts.fakes import fake_session, ran
from tests.hosts.test_tuning_stage import SYSCTLS, answers, kept

ADDRESS = "192.0.2.7"
[ASKED] = members(ADDRESS)
STACK = load(
    {
        "topology": "compose",
        "gateways": {"replicas": 5},
        "hosts": {"machines": [{"address": "192.0.2.8", "key": "/home/a/key", "roles": ["redis"]}]},
    }
)
TUNED = Member(Machine(address=ADDRESS, roles=("gateway", "engine")), STACK)
TEXT = told.encode(TUNED)


def test_who_says_nothing_gets_what_was_told() -> None:
    found = told.recalled(ASKED, TEXT, roles=False, stack=False)
    assert found.machine.roles == ("gateway", "engine")
    assert found.spec.gateways.replicas == 5
    assert (found.machine.address, found.peers[0].key) == (ADDRESS, "")


def test_what_is_said_counts() -> None:
    [said] = members(ADDRESS, roles="postgres")
    found = told.recalled(said, TEXT, roles=True, stack=False)
    assert (found.machine.roles, found.spec.gateways.replicas) == (("postgres",), 5)
    found = told.recalled(ASKED, TEXT, roles=False, stack=True)
    assert (found.machine.roles, found.spec) == (("gateway", "engine"), ASKED.spec)
    assert told.recalled(said, TEXT, roles=True, stack=True) is said


def test_a_stack_file_that_names_the_host_says_its_roles() -> None:
    machine = STACK.hosts.machines[0]
    assert told.recalled(Member(machine, STACK), TEXT, roles=False, stack=True).machine.roles == ("redis",)


def test_a_host_that_remembers_nothing_is_as_asked() -> None:
    assert told.recalled(ASKED, None, roles=False, stack=False) is ASKED


def test_what_another_release_wrote_is_told_with_the_remedy() -> None:
    other = TEXT.replace('"replicas"', '"copies"')
    with pytest.raises(Failure, match=r"told\.json.*ROLES=… and STACK=…, or `make tune`"):
        told.recalled(ASKED, other, roles=False, stack=False)
    assert told.recalled(ASKED, other, roles=True, stack=True) is ASKED


def test_who_asks_hears_what_was_taken_from_the_host(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(Session, "fact", lambda _session, _fact: TEXT)
    found = told.ask(ASKED, Session(ASKED.machine), Output(), roles=False, stack=False)
    assert found.machine.roles == TUNED.machine.roles
    said = capsys.readouterr().out
    assert "is for gateway, engine; its roles and the description as `make tune` was told" in said
    told.ask(TUNED, Session(TUNED.machine), Output(), roles=True, stack=True)
    assert capsys.readouterr().out == f"{ADDRESS}: is for gateway, engine\n"


def test_it_is_written_after_the_snapshot_and_readable_for_root_alone() -> None:
    with fake_session(answers(SYSCTLS, {})) as session:
        steps = [step.name for step in session.run(tuning_stage.apply, TUNED) if step.changed]
    assert steps[:2] == ["remember what is there", "remember what it is for"]
    [(command, text)] = [(command, text) for command, text in kept() if told.FILE in command]
    assert text == TEXT
    assert "chmod 600" in command


def test_it_is_read_back_as_it_was_written() -> None:
    with fake_session({f"cat {told.FILE}": TEXT.splitlines()}) as session:
        assert session.fact(told.Text) == TEXT
    with fake_session({}) as session:
        assert session.fact(told.Text) is None
    assert ran


def test_a_description_goes_through_it_whole() -> None:
    assert told.recalled(ASKED, told.encode(ASKED), roles=False, stack=False).spec == ASKED.spec
    assert "key" in msgspec.json.decode(TEXT)["spec"]["hosts"]["machines"][0]
    assert "/home/a/key" not in TEXT
