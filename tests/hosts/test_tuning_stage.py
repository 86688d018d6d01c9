"""Operations of tuning in their order, on a host that nobody has."""

import base64
import json
import re
from collections.abc import Callable, Iterator, Sequence

import pytest

from hosts import changes, survey, told, tuning_stage
from hosts.facts import sections
from hosts.inventory import members
from hosts.listeners import LISTENERS
from hosts.packages import TOOLS
from hosts.survey import SNAPSHOT
from stacks.commands.failures import Failure
from tests.hosts.fakes import Answers, fake_session, ran
from tuning.machine import OUR_FILES, SYSCTL_FILE
from tuning.snapshot import Snapshot

[MEMBER] = members("192.0.2.7", roles="gateway")
SYSCTLS = {"vm.swappiness": "60", "net.core.somaxconn": "128", "net.ipv4.tcp_keepalive_time": "7200"}


def answers(values: dict[str, str], files: dict[str, str]) -> Answers:
    """Of a host with two CPUs that has these sysctls and files."""
    said = {
        "kernel": ["6.1.0"], "container": ["docker"], "cpus": ["0,0,0,0,Y", "1,1,0,0,Y"], "memory": ["8000000"],
        "sysctls": [f"{key} = {value}" for key, value in values.items()], "mounts": ["/sys ro"],
        "packages": [f"install\tinstalled\t{name}\t1" for name in TOOLS],
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


def test_what_somebody_set_higher_since_stays() -> None:
    values, files = tuned()
    with fake_session(answers(values | {"net.core.somaxconn": "1000000"}, files)) as session:
        assert [step.name for step in session.run(tuning_stage.apply, MEMBER) if step.changed] == []
        seen = session.ask(survey.survey, MEMBER)
    [row] = [row for row in survey.document(seen) if row["what"] == "net.core.somaxconn"]
    assert (row["before"], row["want"], row["action"], row["lowers"]) == ("128", "1000000", "refused_lower", False)
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


CHRONY: Answers = {"apt-get": ["Remv systemd-timesyncd [252]", "Inst chrony (4.3)"]}


def its_own(values: dict[str, str], files: dict[str, str], *installed: str) -> Answers:
    """A machine of its own, without modules to load."""
    found = answers(values, files)
    lines = [line if line != "docker" else "none" for line in found[sections._HEADING]]
    rows = [f"install\tinstalled\t{name}\t252" for name in installed]
    keeper = "chrony.service" if "chrony" in installed else "systemd-timesyncd.service"
    lines[lines.index(f"{sections._HEADING} packages") + 1 : 0] = rows
    return {sections._HEADING: [*lines, f"{sections._HEADING} clocks", keeper], **CHRONY}


def test_what_apt_would_do_is_remembered_before_it_is_done() -> None:
    with fake_session(its_own(SYSCTLS, {}, "systemd-timesyncd")) as session:
        steps = [step.name for step in session.run(tuning_stage.apply, MEMBER) if step.changed]
        assert steps.index("remember what is there") < steps.index("packages chrony")
    _, text = next(kept())
    assert json.loads(text)["packages"] == {
        "installed": ["chrony"], "removed": {"systemd-timesyncd": "252"}, "automatic": [], "clocks": ["systemd-timesyncd"],
    }  # fmt: skip


def test_packages_come_back_when_all_else_is_and_before_it_is_forgotten() -> None:
    with fake_session(its_own(SYSCTLS, {}, "systemd-timesyncd")) as session:
        session.run(tuning_stage.apply, MEMBER)
    _, snapshot = next(kept())
    with fake_session(its_own(SYSCTLS, {SNAPSHOT: snapshot}, "chrony")) as session:
        lines = session.ask(lambda host: list(survey.undoing(host)))
        steps = [step.name for step in session.run(tuning_stage.undo) if step.changed]
    assert {"-package chrony", "+package systemd-timesyncd"} <= set(lines)
    assert steps[-2:] == ["packages as before", "forget what was there"]
    command = ran[-2][0]
    assert "back chrony systemd-timesyncd=252" in command


def test_a_package_source_out_of_reach_stops_it_before_anything_is_changed() -> None:
    silent = its_own(SYSCTLS, {}, "systemd-timesyncd") | {"apt-get": ["E: Unable to locate package chrony"]}
    with fake_session(silent) as session, pytest.raises(Failure, match="chrony cannot be had: Unable to locate"):
        session.run(tuning_stage.apply, MEMBER)
    assert list(kept()) == []


def test_what_a_loss_of_power_left_of_an_empty_state_folder_goes() -> None:
    found = answers(SYSCTLS, {})
    empty = [f"{sections._HEADING} empty", "/var/lib/veloz/host"]
    with fake_session({sections._HEADING: [*found[sections._HEADING], *empty]}) as session:
        [step] = session.run(tuning_stage.undo)
    assert step.changed
    assert "/var/lib/veloz/host /var/lib/veloz;" in ran[-1][0]


def test_a_module_that_others_use_by_now_is_said_to_stay() -> None:
    snapshot = Snapshot({}, {}, ("nf_conntrack", "nf_defrag_ipv4"), {})
    with fake_session({"/proc/modules": ["nf_conntrack 1 2 nft_ct, Live 0x0"]}) as session:
        assert session.ask(survey.stays, snapshot) == ["module nf_conntrack stays, with its values: nft_ct uses it"]


def test_nobody_listens_to_what_is_no_file_of_ours() -> None:
    assert [one.part for one in LISTENERS if not any(path.startswith(one.part) for path in OUR_FILES)] == []


class Disk:
    """What commands leave: files, marks, and daemons that have not read what is there. All but the values of the kernel."""

    def __init__(self) -> None:
        self.files: dict[str, str] = {}
        self.marks: set[str] = set()
        self.behind: set[str] = set()

    def after(self, commands: Sequence[tuple[str, str]]) -> None:
        for command, stdin in commands:
            if stdin:
                [path] = re.findall(r"mv -fT \S+ (\S+) ", command)
                self._changed(path, base64.b64decode(stdin).decode())
            elif gone := re.match(r"rm -f (/\S+)", command):
                self._changed(gone[1], None)
            elif "touch" in command:
                self.marks |= {one.mark for one in LISTENERS if one.mark in command}
            for one in LISTENERS:
                if one.command in command:
                    self.behind.discard(one.name)
                    self.marks -= {one.mark} if one.mark in command else set()

    def _changed(self, path: str, text: str | None) -> None:
        self.files.pop(path, None)
        if text is not None:
            self.files[path] = text
        self.behind |= {one.name for one in LISTENERS if path.startswith(one.part)}

    def answers(self) -> Answers:
        found = its_own(SYSCTLS, self.files, "chrony")
        return found | {sections._HEADING: [*found[sections._HEADING], f"{sections._HEADING} there", *self.marks]}


def commands_of(stage: Callable[..., None], disk: Disk) -> list[tuple[str, str]]:
    with fake_session(disk.answers()) as session:
        session.run(stage, MEMBER)
    return [one for one in ran if sections._HEADING not in one[0]]


def cut_off(stage: Callable[..., None], *before: Callable[..., None]) -> Iterator[Disk]:
    """A disk for each place in which a run of it can end: before and after everything that concerns files."""

    def prepared() -> Disk:
        disk = Disk()
        for one in before:
            disk.after(commands_of(one, disk))
        return disk

    commands = commands_of(stage, prepared())
    assert sum("systemctl" in command for command, _ in commands) == 2, "journald and chrony"
    for end, (command, stdin) in enumerate(commands, 1):
        if stdin or re.match("rm -f|install|.*systemctl", command):
            disk = prepared()
            disk.after(commands[:end])
            yield disk


@pytest.mark.parametrize("then", [tuning_stage.apply, tuning_stage.undo])
@pytest.mark.parametrize(
    ("stage", "before"), [(tuning_stage.apply, ()), (tuning_stage.undo, (tuning_stage.apply,))], ids=["apply", "undo"]
)
def test_cut_off_anywhere_whoever_has_not_heard_hears_the_next_time(
    stage: Callable[..., None], before: tuple[Callable[..., None], ...], then: Callable[..., None]
) -> None:
    left = []
    for disk in cut_off(stage, *before):
        left.append(len(disk.behind))
        disk.after(commands_of(then, disk))
        assert (disk.behind, disk.marks) == (set(), set())
    assert max(left) == 2
    assert left[-1] == 0


def test_who_has_heard_hears_nothing_the_second_time() -> None:
    disk = Disk()
    disk.after(commands_of(tuning_stage.apply, disk))
    assert not [command for command, _ in commands_of(tuning_stage.apply, disk) if "systemctl" in command]
