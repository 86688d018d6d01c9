"""Only what is missing is installed, also where an installation was cut off, and nothing is taken away for it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from hosts.inventory import Member
from hosts.native_stage import packages as of_native
from hosts.packages import installed
from stacks.document import load
from stacks.images.context import ROOT
from stacks.machines import Machine
from tests.hosts.fakes import Answers, fake_session, ran

NAMES = ("one", "two")
THERE: Answers = {"dpkg -l": [f"ii  {name}:amd64  1.0  amd64" for name in NAMES]}
SCRIPT = ROOT / "hosts" / "on_host" / "install_packages.sh"
# apt-get: what it is asked is written down; it fails as often as `fails` has lines, each with that line.
APT = """#!/bin/sh
echo "$(basename "$0") $*" >>"$DIR/asked"
case "$*" in *" update"*) head -n 1 "$DIR/update"; [ ! -s "$DIR/update" ] || sed -i 1d "$DIR/update"; exit 0 ;; esac
case "$(basename "$0")" in dpkg | sleep) exit 0 ;; esac
said=$(head -n 1 "$DIR/fails" 2>/dev/null)
[ -n "$said" ] || exit 0
sed -i 1d "$DIR/fails"
printf "$said\\n" >&2
exit 100
"""


def test_where_all_is_there_nothing_runs() -> None:
    with fake_session(THERE) as session:
        assert session.run(installed, NAMES, "what is needed") == ()
    assert [command for command, _ in ran if "sh -s" in command] == []


@pytest.mark.parametrize("state", ["iF", "iU", "rc"])
def test_what_is_missing_or_was_left_half_way_is_installed(state: str) -> None:
    with fake_session({"dpkg -l": ["ii  one 1.0 amd64", f"{state}  two 1.0 amd64"], "sh -s": ""}) as session:
        [step] = session.run(installed, NAMES, "what is needed")
    assert step.name == "what is needed"
    [(command, script)] = [(command, script) for command, script in ran if "sh -s" in command]
    assert command.endswith("sh -s -- two")
    assert script == SCRIPT.read_text()


def test_a_later_run_asks_no_mirror_when_all_is_there() -> None:
    """The lists of packages grow old; a run that has nothing to install changes nothing."""
    wanted = ["postgresql", "redis-server", "nginx", "python3-venv", "g++", "make", "openssl"]
    answers: Answers = {
        "dpkg -l": [f"ii  {name}  1.0  amd64" for name in wanted],
        "list-unit-files": ["nginx.service masked"],
    }
    member = Member(Machine(address="@fake/one"), load({"topology": "compose"}))
    with fake_session(answers) as session:
        assert [step for step in session.run(of_native, member) if step.changed] == []


def install(tmp_path: Path, *, fails: str = "", update: str = "") -> tuple[subprocess.CompletedProcess[str], list[str]]:
    """What it says, and what apt and dpkg were asked."""
    for name in ("apt-get", "dpkg", "sleep"):
        (tmp_path / name).write_text(APT)
        (tmp_path / name).chmod(0o755)
    (tmp_path / "fails").write_text(fails)
    (tmp_path / "update").write_text(update)
    environ = {"PATH": f"{tmp_path}:{os.environ['PATH']}", "DIR": str(tmp_path)}
    done = subprocess.run(["sh", SCRIPT, "one", "two"], check=False, capture_output=True, text=True, env=environ)
    return done, (tmp_path / "asked").read_text().splitlines()


def test_the_lists_come_first(tmp_path: Path) -> None:
    done, asked = install(tmp_path)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    assert [line.split()[-1] for line in asked] == ["update", "two"]


def test_who_is_reading_the_lists_is_waited_for(tmp_path: Path) -> None:
    held = "E: Could not get lock /var/lib/apt/lists/lock. It is held by process 7 (apt-get)\n"
    done, asked = install(tmp_path, update=held * 2)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    assert [line.split()[-1] for line in asked] == ["update", "5", "update", "5", "update", "two"]


def test_what_was_cut_off_is_ended_first(tmp_path: Path) -> None:
    done, asked = install(tmp_path, fails="E: dpkg was interrupted, you must manually run 'dpkg --configure -a'\n")
    assert done.returncode == 0, done.stderr
    assert [line.split()[0] for line in asked] == ["apt-get", "apt-get", "dpkg", "apt-get"]
    assert asked[2].endswith("--configure -a")


@pytest.mark.parametrize(
    ("fails", "update"),
    [
        ("E: Unable to locate package two\n", "W: Failed to fetch http://mirror/x  Could not resolve 'mirror'\n"),
        ("E: You don't have enough free space in /var/cache/apt/archives/.\n", ""),
    ],
)
def test_why_it_fails_is_said_with_a_remedy(tmp_path: Path, fails: str, update: str) -> None:
    done, _ = install(tmp_path, fails=fails, update=update)
    assert done.returncode == 1
    said = done.stderr.splitlines()
    assert said[0] == fails.strip()
    assert [line for line in said if "Could not resolve" in line] == (
        [f"apt-get update said: {update.strip()}"] if update else []
    )
    assert said[-1].startswith("veloz: apt cannot install one two: look at /etc/apt")


def test_what_would_be_taken_away_stays_and_is_named(tmp_path: Path) -> None:
    said = (
        "The following packages will be REMOVED:\\n  docker-ce\\n  docker-ce-cli other\\n0 upgraded, 1 newly installed"
    )
    done, _ = install(tmp_path, fails=f"{said}\\nE: Packages need to be removed but remove is disabled.\n")
    assert done.returncode == 1
    assert done.stderr.startswith(
        "veloz: apt would take away docker-ce docker-ce-cli other for one two; take them away yourself"
    )


@pytest.mark.parametrize("script", sorted(SCRIPT.parent.glob("*.sh")), ids=lambda path: path.name)
def test_shellcheck_has_nothing_to_say_of_what_runs_on_a_host(script: Path) -> None:
    shellcheck = Path(sys.executable).with_name("shellcheck")
    assert subprocess.run([shellcheck, script], capture_output=True, text=True, check=False).stdout == ""
