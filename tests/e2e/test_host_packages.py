"""chrony comes and goes without a trace, wherever apt is ended: on a container that is made to look like a machine of its own."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from tests.e2e.bare_host import BareHost, Making
from tests.e2e.bare_host import bare_host as bare_host  # noqa: PLC0414 - a fixture
from tests.e2e.host_commands import hosts, killed
from tests.e2e.host_values import differences, everything
from tests.e2e.tuned_host import machine as machine  # noqa: PLC0414 - fixtures
from tests.e2e.tuned_host import pristine as pristine  # noqa: PLC0414
from tests.e2e.tuned_host import untouched as untouched  # noqa: PLC0414
from tests.faults.scale import Figure

pytestmark = pytest.mark.timeout(1800)
# It must not set the clock of the machine that the tests run on.
HARMLESS = """mkdir /etc/systemd/system/chrony.service.d
printf '[Unit]\\nConditionVirtualization=!container\\n' > /etc/systemd/system/chrony.service.d/harmless.conf
systemctl daemon-reload"""
ITS_OWN = """cd /usr/bin && mv systemd-detect-virt detect
printf '#!/bin/sh\\necho none; exit 1\\n' > systemd-detect-virt && chmod 755 systemd-detect-virt"""
OLD = "systemd-timesyncd"
SECONDS = (0.3, 1.0, 2.0, 3.0, 4.0, 6.0, 8.0)


@pytest.fixture(scope="module")
def host(bare_host: Making) -> BareHost:
    """With Debian's usual keeper of the clock, whose servers somebody has set."""
    made = bare_host("hostpackages-e2e")
    changed = "echo NTP=192.0.2.7 >> /etc/systemd/timesyncd.conf; systemctl try-restart systemd-timesyncd"
    made.ssh(f"{HARMLESS}\n{ITS_OWN}\napt-get -qq update && apt-get -qqy install --no-install-recommends {OLD} 2>&1")
    made.ssh(changed)
    return made


def test_a_dry_run_says_what_apt_would_do_and_does_nothing(host: BareHost, untouched: dict[str, str]) -> None:
    done = hosts(host, "tune", "--dry-run")
    assert done.status == 0, done.words
    assert done.host["packages"] == {"install": ["chrony"], "upgrade": [], "remove": [OLD], "refused": ""}
    assert {"+package chrony", f"-package {OLD}"} <= set(done.host["diff"])
    assert differences(untouched, everything(host)) == {}


def test_without_lists_of_packages_a_dry_run_says_the_same_and_fetches_none(host: BareHost) -> None:
    host.ssh("mv /var/lib/apt/lists /root/lists; mkdir -p /var/lib/apt/lists/partial")
    try:
        done = hosts(host, "tune", "--dry-run")
        left = host.ssh("find /var/lib/apt/lists -type f; ls /tmp | grep ^tmp", check=False)
    finally:
        host.ssh("rm -rf /var/lib/apt/lists; mv /root/lists /var/lib/apt/lists")
    assert done.host["packages"]["install"] == ["chrony"], done.words
    assert left == ""


def test_chrony_comes_and_goes_without_a_trace(host: BareHost, untouched: dict[str, str], figure: Figure) -> None:
    done = hosts(host, "tune")
    assert done.status == 0, done.words
    assert "packages chrony" in done.host["changed"]
    tuned = everything(host)
    assert tuned["package chrony"].startswith("ii")
    assert not tuned.get(f"package {OLD}", "").startswith("ii")
    assert hosts(host, "tune").host["changed"] == []
    shown = hosts(host, "untune", "--dry-run").host["diff"]
    assert {"-package chrony", f"+package {OLD}"} <= set(shown)
    done = hosts(host, "untune")
    assert done.status == 0, done.words
    figure("values, files and packages that differed while tuned", len(differences(untouched, tuned)))
    assert differences(untouched, everything(host)) == {}


@pytest.mark.parametrize("at", [0, 1, 2, 3])
def test_killed_before_and_after_apt_it_is_undone(host: BareHost, untouched: dict[str, str], at: int) -> None:
    """The first operation remembers, the second is apt's."""
    assert killed(host, at)
    done = hosts(host, "untune")
    assert done.status == 0, done.words
    assert differences(untouched, everything(host)) == {}


# Says that apt begins.
BEGINS = """
import os, sys
from hosts import inventory, tuning_stage
from hosts.session import Session
[member] = inventory.members(os.environ["HOST"], os.environ["SSH_KEY"])
Session(member.machine, lambda name: print(name, flush=True)).run(getattr(tuning_stage, sys.argv[1]), member)
"""


@contextmanager
def begun(host: BareHost, stage: str, operation: str) -> Iterator[subprocess.Popen[str]]:
    """The command, at that operation."""
    command = [sys.executable, "-c", BEGINS, stage]
    with subprocess.Popen(command, env=host.environ(), text=True, stdout=subprocess.PIPE) as running:
        assert running.stdout
        assert any(line.strip() == operation for line in running.stdout), "there was no such operation"
        yield running


def ended(host: BareHost, stage: str, operation: str, seconds: float) -> None:
    """The command, killed (-9) so many seconds after the operation began."""
    with begun(host, stage, operation) as running:
        time.sleep(seconds)
        running.kill()


def test_killed_while_apt_works_it_is_undone(host: BareHost, untouched: dict[str, str], figure: Figure) -> None:
    """apt goes on to its end; `untune` waits for it."""
    for seconds in SECONDS:
        ended(host, "apply", "packages chrony", seconds)
        done = hosts(host, "untune")
        assert done.status == 0, f"{seconds} s: {done.words}"
        assert differences(untouched, everything(host)) == {}, f"{seconds} s"
    figure("kills while apt installed, each undone exactly", len(SECONDS))


def test_killed_while_apt_undoes_the_next_one_ends_it(
    host: BareHost, untouched: dict[str, str], figure: Figure
) -> None:
    for seconds in SECONDS[1::2]:
        assert hosts(host, "tune").status == 0
        ended(host, "undo", "packages as before", seconds)
        done = hosts(host, "untune")
        assert done.status == 0, f"{seconds} s: {done.words}"
        assert differences(untouched, everything(host)) == {}, f"{seconds} s"
    figure("kills while apt undid, each ended exactly", len(SECONDS[1::2]))


# Holds dpkg at a step, once it noted in updates/ what it began: what is killed then is killed in the middle.
HELD = """timeout 60 sh -c '
until ls /var/lib/dpkg/updates | grep -q . && pkill -STOP -f "[d]pkg .*--status-fd.* $0"; do :; done' """
DOWN = "pkill -9 -x apt-get; pkill -9 -x dpkg; while pgrep -x dpkg; do :; done; ls /var/lib/dpkg/updates; dpkg --audit"


@pytest.mark.parametrize("step", ["--remove", "--unpack", "--configure"])
def test_a_host_that_went_down_while_dpkg_worked_is_undone(
    host: BareHost, untouched: dict[str, str], figure: Figure, step: str
) -> None:
    """All of apt is killed (-9), as a loss of power does."""
    with begun(host, "apply", "packages chrony") as running:
        host.ssh(HELD + step)
        running.kill()
    left = host.ssh(DOWN)
    figure("what dpkg left", " ".join(left.split())[:200])
    assert left
    done = hosts(host, "untune")
    assert done.status == 0, done.words
    assert differences(untouched, everything(host)) == {}


def test_where_the_source_is_out_of_reach_it_says_what_stays(host: BareHost, untouched: dict[str, str]) -> None:
    assert hosts(host, "tune").status == 0
    host.ssh("mv /var/lib/apt/lists /root/lists; mkdir -p /var/lib/apt/lists/partial; rm -f /var/cache/apt/*.bin")
    host.ssh(
        "rm -f /var/cache/apt/archives/*.deb; cp /etc/hosts /root/hosts; "
        "grep -rhoE '//[^/ ]+' /etc/apt/sources.list* | tr -d / | sort -u | sed 's/^/192.0.2.1 /' > /etc/hosts"
    )
    try:
        done = hosts(host, "untune")
    finally:
        host.ssh("cat /root/hosts > /etc/hosts; rm -rf /var/lib/apt/lists; mv /root/lists /var/lib/apt/lists")
    assert done.status != 0
    said = done.document["error"]
    assert f"chrony stays and {OLD} is not back" in said
    assert f"make untune again, or by hand: apt-get --purge install {OLD} chrony-" in said
    left = differences(untouched, everything(host))
    assert {key for key in left if key.startswith("net.")} == set()
    assert "file /etc/sysctl.d/99-veloz.conf" not in left
    assert hosts(host, "untune").status == 0
    assert differences(untouched, everything(host)) == {}
