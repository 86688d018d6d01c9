"""Who is not root but may sudo tunes, verifies and undoes a real host; nothing of theirs or ours is left of it."""

from __future__ import annotations

import pytest

from tests.e2e.bare_host import BareHost, Making
from tests.e2e.bare_host import bare_host as bare_host  # noqa: PLC0414 - a fixture
from tests.e2e.host_commands import hosts, killed
from tests.e2e.host_values import differences, everything
from tests.e2e.tuned_host import machine as machine  # noqa: PLC0414
from tests.faults.scale import Figure

pytestmark = pytest.mark.timeout(900)
ADMIN = "admin"
MADE = f"""
useradd --create-home --shell /bin/bash {ADMIN}
echo '{ADMIN} ALL=(ALL) NOPASSWD: ALL' > /etc/sudoers.d/{ADMIN} && chmod 440 /etc/sudoers.d/{ADMIN}
install -d -m 700 -o {ADMIN} -g {ADMIN} /home/{ADMIN}/.ssh
install -m 600 -o {ADMIN} -g {ADMIN} /root/.ssh/authorized_keys /home/{ADMIN}/.ssh/authorized_keys
mount -o remount,rw /sys
"""


@pytest.fixture(scope="module")
def host(bare_host: Making) -> BareHost:
    made = bare_host("hostsudo-e2e")
    made.ssh(MADE)
    return made._replace(user=ADMIN)


@pytest.fixture
def untouched(host: BareHost) -> dict[str, str]:
    hosts(host, "untune")
    return everything(host)


def left(host: BareHost) -> str:
    """Files of the user's own, and what anybody may write to."""
    return host.ssh(f"find /home/{ADMIN} /tmp /var/tmp -type f -not -path '*/systemd-private-*' | sort")


def test_the_whole_way_as_another_user_than_root(host: BareHost, untouched: dict[str, str], figure: Figure) -> None:
    files = left(host)
    dry = hosts(host, "tune", "--dry-run")
    assert dry.status == 0, dry.words
    assert differences(untouched, everything(host)) == {}
    done = hosts(host, "tune")
    assert done.status == 0, done.words
    assert done.host["report"], "the measurement gave no figures"
    tuned = everything(host)
    assert hosts(host, "tune").host["changed"] == []
    seen = hosts(host, "verify", "--only", "tuning")
    assert seen.status == 0, seen.words
    assert {row["verdict"] for row in seen.host["rows"]} <= {"ok", "skipped", "unavailable"}
    assert hosts(host, "untune", "--dry-run").status == 0
    back = hosts(host, "untune")
    assert back.status == 0, back.words
    figure("values and files that differed while tuned", len(differences(untouched, tuned)))
    figure("rows verified", len(seen.host["rows"]))
    assert differences(untouched, everything(host)) == {}
    assert left(host) == files


def test_a_changed_value_is_found_by_another_user_than_root(host: BareHost, untouched: dict[str, str]) -> None:
    assert hosts(host, "tune").status == 0
    host.ssh("sysctl -q -w net.ipv4.tcp_keepalive_time=7200")
    done = hosts(host, "verify", "--only", "tuning")
    assert done.status == 1
    assert [row["what"] for row in done.host["rows"] if row["verdict"] == "differs"] == ["net.ipv4.tcp_keepalive_time"]
    assert hosts(host, "untune").status == 0
    assert differences(untouched, everything(host)) == {}


def test_killed_it_is_undone_as_well(host: BareHost, untouched: dict[str, str]) -> None:
    for at in (1, 5, 20):
        assert killed(host, at)
        assert hosts(host, "untune").status == 0
        assert differences(untouched, everything(host)) == {}, f"killed at {at}"
