"""Operations of tuning in their order, on a host that nobody has."""

import base64
import json
from collections.abc import Iterator

import pytest

from hosts import changes, survey, told, tuning_stage
from hosts.facts import sections
from hosts.inventory import members
from hosts.survey import SNAPSHOT
from stacks.commands.failures import Failure
from tests.hosts.fakes import Answers, fake_session, ran
from tuning.machine import SYSCTL_FILE

[MEMBER] = members("192.0.2.7", roles="gateway")
SYSCTLS = {"vm.swappiness": "60", "net.core.somaxconn": "128", "net.ipv4.tcp_keepalive_time": "7200"}


def answers(values: dict[str, str], files: dict[str, str]) -> Answers:
    """Of a host with two CPUs that has these sysctls and files."""
    said = {
        "kernel": ["6.1.0"], "container": ["docker"], "cpus": ["0,0,0,0,Y", "1,1,0,0,Y"], "memory": ["8000000"],
        "sysctls": [f"{key} = {value}" for key, value in values.items()], "mounts": ["/sys ro"],
        "files": [f"{path}\t{base64.b64encode(text.encode()).decode()}" for path, text in files.items()],
    }  # fmt: skip
    lines = [line for name, section in said.items() for line in (f"{sections._HEADING} {name}", *section)]
    return {sections._HEADING: lines, f"cat {told.FILE}": files.get(told.FILE, "").splitlines()}


def kept() -> Iterator[tuple[str, str]]:
    """Files that were written: a part of the command, and the text."""
    for command, stdin in ran:
        if stdin:
            yield command, base64.b64decode(stdin).decode()


def test_what_is_there_is_remembered_before_anything_is_written() -> None:
    with fake_session(answers(SYSCTLS, {})) as session:
        steps = [step.name for step in session.run(tuning_stage.apply, MEMBER) if step.changed]
    assert steps[0] == "remember what is there"
    assert "sysctl net.core.somaxconn = 4096" in steps
    assert f"file {SYSCTL_FILE}" in steps
    command, text = next(kept())
    assert SNAPSHOT in command
    assert "sync" in command
    assert json.loads(text)["sysctls"]["net.core.somaxconn"] == "128"


def tuned() -> tuple[dict[str, str], dict[str, str]]:
    """Sysctls and files as `apply` leaves them."""
    with fake_session(answers(SYSCTLS, {})) as session:
        seen = session.ask(survey.survey, MEMBER)
        session.run(tuning_stage.apply, MEMBER)
    values = SYSCTLS | {one.setting.key: one.want for one in seen.plan.settings if one.action == "set"}
    [snapshot] = [text for command, text in kept() if SNAPSHOT in command]
    return values, {**seen.plan.files, SNAPSHOT: snapshot, told.FILE: told.encode(MEMBER)}


def test_a_second_run_has_nothing_to_do() -> None:
    with fake_session(answers(*tuned())) as session:
        assert [step.name for step in session.run(tuning_stage.apply, MEMBER) if step.changed] == []
        seen = session.ask(survey.survey, MEMBER)
        assert list(changes.lines(seen.plan, seen.machine)) == []


def test_undoing_gives_back_and_then_forgets() -> None:
    with fake_session(answers(*tuned())) as session:
        lines = session.ask(lambda host: list(survey.undoing(host)))
        steps = [step.name for step in session.run(tuning_stage.undo) if step.changed]
    assert {"-net.core.somaxconn = 4096", "+net.core.somaxconn = 128"} <= set(lines)
    assert f"no file {SYSCTL_FILE}" in steps
    assert "sysctl vm.swappiness = 60" in steps
    assert steps[-2:] == ["forget what it is for", "forget what was there"]


def test_a_host_that_is_not_tuned_has_nothing_to_undo() -> None:
    with fake_session(answers(SYSCTLS, {})) as session:
        assert session.run(tuning_stage.undo) == ()


def test_a_dry_run_is_a_diff() -> None:
    with fake_session(answers(SYSCTLS, {SYSCTL_FILE: "old\n"})) as session:
        seen = session.ask(survey.survey, MEMBER)
    lines = list(changes.lines(seen.plan, seen.machine))
    assert lines.index("-net.core.somaxconn = 128") + 1 == lines.index("+net.core.somaxconn = 4096")
    assert {f"--- {SYSCTL_FILE}", "-old", "+net.core.somaxconn = 4096"} <= set(lines)


@pytest.mark.parametrize(
    ("files", "said"),
    [({SNAPSHOT: "{"}, "snapshot.json, which remembers the host as it was, cannot be understood")],
)
def test_a_snapshot_that_is_damaged_stops_everything(files: dict[str, str], said: str) -> None:
    with fake_session(answers(SYSCTLS, files)) as session, pytest.raises(Failure, match=said):
        session.run(tuning_stage.apply, MEMBER)
    assert list(kept()) == []


def test_a_host_without_sysctl_is_told_what_to_install() -> None:
    with fake_session(answers({}, {})) as session, pytest.raises(Failure, match="install procps"):
        session.ask(survey.survey, MEMBER)
