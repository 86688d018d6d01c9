"""Only what is missing is installed, what apt would do is known before, and there is a way back from wherever it ended."""

import subprocess
from pathlib import Path
from typing import Final

import pytest

from hosts import package_operations
from hosts import tuning_packages as packages
from hosts.facts.packages import AptWould, Foreseen, Installed, InstalledPackages, foreseen
from hosts.packages import TOOLS
from hosts.tuning_packages import Back, Needed
from stacks.commands.failures import Failure
from tests.hosts.fakes import Answers, fake_session, ran
from tuning.machine import Machine
from tuning.plan import Plan
from tuning.snapshot import Packages

SAID: Final = """NOTE: This is only a simulation!
Remv systemd-timesyncd [252.39-1~deb12u2]
Inst libsystemd-shared [252.38-1] (252.39-1 Debian:12.15 [amd64])
Inst chrony (4.3-2+deb12u3 Debian:12.15/oldstable [amd64])
Conf chrony (4.3-2+deb12u3 Debian:12.15/oldstable [amd64])"""
CHRONY: Final = Plan((), {}, {"chrony": "a reason"})


def there(*names: str) -> Answers:
    lines = [f"install\tinstalled\t{name}\t1" for name in names]
    return {"dpkg-query": ["==veloz== packages", *lines, "==veloz== automatic", "systemd-timesyncd"]}


def test_where_all_is_there_apt_is_not_asked() -> None:
    with fake_session(there(*TOOLS, "chrony")) as session:
        assert session.ask(packages.needed, CHRONY).names == ()
    assert [command for command, _ in ran if "apt-get" in command] == []


def test_what_apt_would_do_for_what_is_missing_is_remembered() -> None:
    with fake_session({**there(*TOOLS, "systemd-timesyncd"), "apt-get": SAID.splitlines()}) as session:
        needs = session.ask(packages.needed, CHRONY)
    assert needs.names == ("chrony",)
    assert needs.apt == Foreseen(("chrony",), {"systemd-timesyncd": "252.39-1~deb12u2"}, ("libsystemd-shared",))
    memory = needs.memory(Machine(clocks=frozenset({"systemd-timesyncd"})))
    assert memory == Packages(
        ("chrony",), {"systemd-timesyncd": "252.39-1~deb12u2"}, ("systemd-timesyncd",), ("systemd-timesyncd",)
    )
    assert packages.refused(needs) == ""
    assert list(packages.lines(needs.apt)) == [
        "-package systemd-timesyncd", "+package chrony", "+package libsystemd-shared, another version",
    ]  # fmt: skip


def test_of_two_attempts_the_last_counts() -> None:
    once = foreseen(["E: Unable to locate package chrony"])
    assert once.problem == "Unable to locate package chrony"
    assert foreseen(["E: Unable to locate package chrony", "again", *SAID.splitlines()]).install == ("chrony",)


@pytest.mark.parametrize(
    ("said", "why"),
    [
        ("E: Unable to locate package chrony", "chrony cannot be had: Unable to locate package chrony; look at the"),
        ("Inst chrony (4.3)\nRemv postgresql-15 [15.1]", "would remove postgresql-15; if that is wanted: apt-get"),
    ],
)
def test_what_cannot_be_had_or_takes_something_else_away_is_refused(said: str, why: str) -> None:
    def stage(host: object) -> None:
        packages.checked(packages.needed(host, CHRONY))  # type: ignore[arg-type]

    with fake_session({**there(*TOOLS), "apt-get": said.splitlines()}) as session, pytest.raises(Failure, match=why):
        session.ask(stage)


MEMORY: Final = Packages(("chrony", "libx"), {"systemd-timesyncd": "252"}, ("systemd-timesyncd",), ())


@pytest.mark.parametrize(
    ("installed", "leftovers", "back"),
    [
        ({"systemd-timesyncd": "252"}, (), Back((), {}, ())),  # apt had not begun
        ({}, ("systemd-timesyncd",), Back((), {"systemd-timesyncd": "252"}, ("systemd-timesyncd",))),
        ({}, ("chrony",), Back(("chrony",), {"systemd-timesyncd": "252"}, ("systemd-timesyncd",))),
        ({"chrony": "4", "libx": "1"}, (), Back(("chrony", "libx"), {"systemd-timesyncd": "252"}, ("systemd-timesyncd",))),
        ({"systemd-timesyncd": "252"}, ("chrony",), Back(("chrony",), {}, ())),
    ],
)  # fmt: skip
def test_the_way_back_begins_where_apt_was_ended(
    installed: dict[str, str], leftovers: tuple[str, ...], back: Back
) -> None:
    now = Installed(installed, frozenset({*installed, *leftovers}), frozenset())
    assert packages.way_back(MEMORY, now) == back
    assert bool(back) == (back != Back((), {}, ()))


def test_states_of_packages_are_told_apart() -> None:
    lines = ["==veloz== packages", "install\tinstalled\ta\t1", "hold\tinstalled\te\t5", "deinstall\tinstalled\tf\t6",
             "deinstall\tconfig-files\tb\t2", "unknown\tnot-installed\tc\t", "install\thalf-installed\td\t4",
             "==veloz== automatic", "a:amd64"]  # fmt: skip
    assert InstalledPackages().process(lines) == Installed({"a": "1", "e": "5"}, frozenset("abdef"), frozenset("a"))


def operations() -> None:
    foresight = Foreseen(("chrony",), {"systemd-timesyncd": "252"}, ())
    wanted = Needed(("chrony",), foresight, Installed({}, frozenset(), frozenset()))
    package_operations.installed(wanted=wanted)
    package_operations.put_back(way=Back(("chrony",), {"systemd-timesyncd": "252"}, ("systemd-timesyncd",)))
    package_operations.put_back(way=Back((), {}, ()))


APT: Final = """#!/bin/sh
echo "apt-get $*" >> "$WORK/ran"
case "$*" in
*update) [ ! -s "$WORK/held" ] || { head -n 1 "$WORK/held"; sed -i 1d "$WORK/held"; }; exit 0;;
*-s*=*) exit 1;;
*-s*) [ ! -e "$WORK/unreachable" ] || exit 100; cat "$WORK/would";;
*) [ ! -e "$WORK/unreachable" ] || { echo "E: Unable to fetch"; exit 100; };;
esac
"""


@pytest.fixture
def apt(tmp_path: Path) -> Path:
    """A folder with an apt that says what the file `would` has, and writes to `ran` how it was called."""
    mark, dpkg = (f'#!/bin/sh\necho "{name}" >> "$WORK/ran"\n' for name in ("apt-mark $*", "dpkg $* $(cat)"))
    for name, text in (("apt-get", APT), ("apt-mark", mark), ("dpkg", dpkg), ("sleep", "#!/bin/sh\n")):
        (tmp_path / name).write_text(text)
        (tmp_path / name).chmod(0o755)
    (tmp_path / "would").write_text("Inst chrony (4.3)\nRemv systemd-timesyncd [252]\nConf chrony\n")
    return tmp_path


def script(apt: Path, *arguments: str) -> tuple[int, str, list[str]]:
    """Exit status, last line, and what apt was told to do: no simulations."""
    text = package_operations._SCRIPT.read_text().replace(
        "PATH=/usr/sbin", f"WORK={apt} PATH={apt}:/usr/sbin"
    ).replace("/var/lib/dpkg/updates", str(apt / "none"))  # fmt: skip
    (apt / "ran").write_text("")
    done = subprocess.run(["sh", "-c", text, "x", *arguments], check=False, capture_output=True, text=True)
    calls = [line for line in (apt / "ran").read_text().splitlines() if " -s " not in line]
    return done.returncode, (done.stdout.splitlines() or [""])[-1], calls


def test_apt_does_what_was_foreseen_and_nothing_else(apt: Path) -> None:
    status, _, calls = script(apt, "install", "Inst chrony\nRemv systemd-timesyncd", "chrony")
    assert status == 0
    assert calls[0].endswith("update")
    assert calls[-2].endswith("install chrony")
    assert "--no-install-recommends" in calls[-2]
    assert calls[-1] == "dpkg --set-selections chrony install"  # whatever an apt that was ended had marked
    assert "--purge" not in calls[-2]  # what somebody set in the files of what goes is wanted again
    status, said, calls = script(apt, "install", "Inst chrony", "chrony")
    assert status == 1
    assert said == "apt would do something else than it said before; make tune again looks anew"
    assert not any("install chrony" in call for call in calls)


def test_who_is_reading_the_lists_is_waited_for(apt: Path) -> None:
    (apt / "held").write_text("E: Could not get lock /var/lib/apt/lists/lock.\n" * 2)
    status, _, calls = script(apt, "install", "Inst chrony\nRemv systemd-timesyncd", "chrony")
    assert status == 0
    assert [call.split()[-1] for call in calls[:4]] == ["update", "update", "update", "chrony"]


def test_the_way_back_purges_and_restores_at_once_with_its_marks(apt: Path) -> None:
    (apt / "would").write_text("Purg chrony [4.3]\nInst systemd-timesyncd (252)\n")
    status, _, calls = script(apt, "back", "chrony", "systemd-timesyncd=252", "systemd-timesyncd")
    assert status == 0
    assert "--purge" in calls[-3]
    assert calls[-3].endswith("install systemd-timesyncd chrony-")  # that version is no more
    assert calls[-2] == "dpkg --set-selections systemd-timesyncd install"
    assert calls[-1] == "apt-mark auto systemd-timesyncd"


def test_where_the_source_is_out_of_reach_it_says_what_stays_and_what_to_do(apt: Path) -> None:
    (apt / "unreachable").touch()
    status, said, _ = script(apt, "back", "chrony", "systemd-timesyncd=252", "")
    assert status == 1
    assert said == (
        "E: Unable to fetch: chrony stays and systemd-timesyncd is not back. When that is mended: make untune again, "
        "or by hand: apt-get --purge install systemd-timesyncd chrony-"
    )


def test_what_somebody_has_built_upon_since_is_not_taken_away(apt: Path) -> None:
    (apt / "would").write_text("Purg chrony [4.3]\nRemv their-tool [1]\nInst systemd-timesyncd (252)\n")
    status, said, calls = script(apt, "back", "chrony", "systemd-timesyncd=252", "")
    assert status == 1
    assert said.startswith("their-tool would have to go too: chrony stays")
    assert not any(call.endswith("chrony-") for call in calls)


def test_operations_run_apt_alone_and_to_its_end() -> None:
    with fake_session({}) as session:
        assert [step.changed for step in session.run(operations)] == [True, True, False]
    for command, _ in ran:
        assert "flock /run/veloz-host/apt sh -c" in command
        assert ">/run/veloz-host/apt.log 2>&1" in command
    assert "'Inst chrony\nRemv systemd-timesyncd' chrony >" in ran[0][0]
    assert "back chrony systemd-timesyncd=252 systemd-timesyncd >" in ran[1][0]


def test_asking_apt_changes_nothing() -> None:
    command = AptWould().command(names=("chrony",))
    assert command.count(" -s ") == command.count("install chrony") == 2
    assert "Dir::State::Lists" in command[command.index("update") - 200 : command.index("update")]
