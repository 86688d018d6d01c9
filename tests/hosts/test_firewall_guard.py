"""The script that puts a firewall back."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from hosts import docker_ports, firewall_stage

GUARD = Path(firewall_stage.__file__).with_name("templates") / "firewall_guard.sh"


def test_shellcheck_has_nothing_to_say() -> None:
    done = subprocess.run(
        [Path(sys.executable).with_name("shellcheck"), str(GUARD)], capture_output=True, text=True, check=False
    )
    assert done.stdout == ""


def test_commands_are_over_before_the_timer_ends() -> None:
    """Else they would go on after the former firewall is back."""
    (seconds,) = re.findall(r"^apply_seconds=(\d+)$", GUARD.read_text(), re.MULTILINE)
    assert int(seconds) + 1 < firewall_stage.REVERT_SECONDS


def test_it_knows_our_chain_and_who_calls_it() -> None:
    assert f"-t security -D {docker_ports.HOOK} -j {docker_ports.CHAIN}" in GUARD.read_text()


def in_namespace(commands: str, armed: Path) -> str:
    """What shell commands print that call the guard's functions, in a network namespace of their own."""
    if not (shutil.which("unshare") and shutil.which("iptables-restore")):
        pytest.skip("no unshare or no iptables here")
    functions = GUARD.read_text().partition("\ncase $1 in")[0]
    script = f"{functions}\narmed={armed}\n{commands}"
    done = subprocess.run(["unshare", "-rn", "sh", "-c", script], capture_output=True, text=True, check=False)
    if "Operation not permitted" in done.stderr or "Permission denied" in done.stderr:
        pytest.skip(f"no network namespace here: {done.stderr.strip()}")
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("copy", "now", "policy", "expected"),
    [
        ("", "-N DOCKER-USER", "DROP", "DROP"),
        ("", "-N DOCKER", "DROP", "DROP"),
        ("", "", "DROP", "ACCEPT"),
        ("-N DOCKER\n-N DOCKER-USER\n", "-N DOCKER-USER", "DROP", "ACCEPT"),
        ("-N DOCKER\n-N DOCKER-USER\n", "", "DROP", "ACCEPT"),
    ],
    ids=[
        "Docker came since",
        "a Docker without a chain for others",
        "no Docker",
        "Docker before and now",
        "Docker gone",
    ],
)
def test_what_is_forwarded_is_dockers_to_say_when_it_came_since(
    tmp_path: Path, copy: str, now: str, policy: str, expected: str
) -> None:
    (tmp_path / "iptables").write_text(f"-P INPUT ACCEPT\n-P FORWARD ACCEPT\n-P OUTPUT ACCEPT\n{copy}")
    before = f"iptables {now}\n" if now else ""
    said = in_namespace(
        f"{before}iptables -P INPUT DROP\npolicies {tmp_path} iptables {policy}\niptables -S", tmp_path
    ).splitlines()
    assert "-P INPUT ACCEPT" in said
    # The kernel's own is ACCEPT at first: what was `policy` is set again, also after ufw's own way of stopping changed it.
    assert f"-P FORWARD {expected}" in said


def test_rules_of_others_are_given_back_each_once_and_whatever_they_say(tmp_path: Path) -> None:
    theirs = [
        "-A FORWARD -s 198.51.100.7/32 -j DROP",
        r'-A FORWARD -m comment --comment "it\'s \"mine\" $HOME `id`" -j own',
    ]
    setup = "iptables -t security -N own\niptables -t security -N veloz-docker\n"
    (tmp_path / "iptables.others").write_text("".join(f"{rule}\n" for rule in [*theirs, "-A FORWARD -j gone"]))
    (tmp_path / "ip6tables.others").write_text("")
    said = in_namespace(
        f"{setup}iptables -t security -A FORWARD -j veloz-docker\n"
        "iptables -t security -A FORWARD -s 198.51.100.7/32 -j DROP\n"
        "give_back 2>/dev/null\ngive_back 2>/dev/null\nothers iptables; iptables -t security -S FORWARD | head -2",
        tmp_path,
    ).splitlines()
    assert said == [*theirs, "-P FORWARD ACCEPT", docker_ports.JUMP]


def test_a_copy_without_rules_of_others_stops_nothing(tmp_path: Path) -> None:
    assert in_namespace("give_back\necho on", tmp_path) == "on\n"


@pytest.mark.parametrize(
    ("commands", "status", "said"),
    [
        ("true", 0, ""),
        ("sleep 9", 1, "the host did not get through the commands in 1 s: it is too busy, try again later\n"),
        ("exit 7", 7, ""),
        ("exit 127", 127, ""),
    ],
)
def test_a_host_too_busy_for_a_change_is_said_to_be(tmp_path: Path, commands: str, status: int, said: str) -> None:
    (tmp_path / "commands").write_text(commands)
    functions = GUARD.read_text().partition("\ncase $1 in")[0]
    stubs = "locked() { :; }\nin_time() { :; }\ngive_back() { :; }\napply_seconds=1"
    script = f"{functions}\n{stubs}\napply {tmp_path / 'commands'}"
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (status, said)
