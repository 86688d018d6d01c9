"""The clock's row on a real host, of what a real chrony says; what chrony and modprobe read.

`chronyd -x` leaves the clock alone, which is the machine's.
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.e2e.bare_host import BareHost, Making
from tests.e2e.bare_host import bare_host as bare_host  # noqa: PLC0414 - a fixture
from tests.e2e.host_commands import hosts
from tests.faults.scale import Figure
from tuning.barred import barred
from tuning.drop_ins import overruled
from tuning.machine import CHRONY_FILE

pytestmark = pytest.mark.timeout(600)
# A server that gives its own machine's time.
SERVER = """local stratum 3
allow 127.0.0.0/8
port 11123
cmdport 0
bindcmdaddress /
pidfile /run/server.pid
"""


@pytest.fixture(scope="module")
def host(bare_host: Making) -> BareHost:
    """With chrony, which is not started by its package."""
    made = bare_host("hostclock-e2e")
    nobody = "printf '#!/bin/sh\\nexit 101\\n' > /usr/sbin/policy-rc.d; chmod 755 /usr/sbin/policy-rc.d"
    made.ssh(f"{nobody}; apt-get -qq update && apt-get -qq install --no-install-recommends chrony >/dev/null 2>&1")
    assert made.ssh("systemctl is-active chrony", check=False).strip() == "inactive"
    made.ssh("cat > /root/server.conf; chronyd -x -f /root/server.conf", stdin=SERVER)
    return made


@pytest.fixture
def client(host: BareHost) -> Iterator[Any]:
    def start(options: str = "") -> None:
        server = f"server 127.0.0.1 port 11123 iburst minpoll 0 maxpoll 1 {options}\npidfile /run/client.pid\n"
        host.ssh("cat > /root/client.conf; chronyd -x -f /root/client.conf", stdin=server)

    yield start
    host.ssh(
        "p=$(cat /run/client.pid); kill $p; while kill -0 $p; do sleep 0.1; done; rm -f /run/client.pid", check=False
    )


def clock(host: BareHost) -> dict[str, str]:
    [row] = [row for row in hosts(host, "verify", "--only", "tuning").host["rows"] if row["what"] == "clock"]
    assert isinstance(row, dict)
    return row


def synchronised(host: BareHost) -> None:
    end = time.monotonic() + 30
    while "Leap status     : Normal" not in host.ssh("chronyc tracking"):
        assert time.monotonic() < end, host.ssh("chronyc sources")
        time.sleep(0.5)


def test_a_container_whose_clock_nobody_keeps_says_whose_it_is(host: BareHost) -> None:
    row = clock(host)
    assert (row["verdict"], "the machine's" in row["why"]) == ("unavailable", True)


def test_chronys_offset_is_within_the_limit(host: BareHost, client: Any, figure: Figure) -> None:  # noqa: ANN401
    client()
    synchronised(host)
    row = clock(host)
    figure("clock", f"{row['have']}, wanted {row['want']}")
    assert row["verdict"] == "ok", row
    assert row["have"].endswith("stratum 4")


@pytest.mark.parametrize("offset", ["0.5", "-0.02"])
def test_a_clock_that_is_off_is_found(host: BareHost, client: Any, offset: str, figure: Figure) -> None:  # noqa: ANN401
    client(f"offset {offset}")
    synchronised(host)
    row = clock(host)
    figure(f"clock of which its server differs by {offset} s", row["have"])
    assert row["verdict"] == "differs", row
    assert float(row["have"].split()[0]) == pytest.approx(abs(float(offset)), abs=0.005)


def test_a_chrony_without_a_server_that_answers_is_found(host: BareHost, client: Any) -> None:  # noqa: ANN401
    client("offline")
    row = clock(host)
    assert (row["verdict"], row["have"]) == ("differs", "not synchronised")


def test_what_chrony_reads_after_our_file_is_found(host: BareHost) -> None:
    """A container is not given that file: here it is written by hand, and read by chrony itself."""
    ours = "logchange 0.01\nlock_all\n"
    host.ssh(f"cat > {CHRONY_FILE}", stdin=ours)
    assert overruled(CHRONY_FILE, ours, host.ssh("chronyd -p")) == ""
    host.ssh("echo 'logchange 0.5' > /etc/chrony/conf.d/zz.conf")
    assert "gives logchange = 0.5" in overruled(CHRONY_FILE, ours, host.ssh("chronyd -p"))
    host.ssh("sed -i '/^confdir/d' /etc/chrony/chrony.conf")
    assert "in none of the files that are read" in overruled(CHRONY_FILE, ours, host.ssh("chronyd -p"))


def test_a_module_that_modprobe_may_not_load_is_found(host: BareHost) -> None:
    """A container loads none, so that there is no row of it: what modprobe prints is understood."""
    assert barred("nf_conntrack", host.ssh("modprobe --showconfig")) == ""
    host.ssh("echo 'blacklist nf_conntrack' > /etc/modprobe.d/zz.conf")
    assert barred("nf_conntrack", host.ssh("modprobe --showconfig")) == "blacklist nf_conntrack"
    host.ssh("echo 'install nf-conntrack /bin/true' > /etc/modprobe.d/zz.conf")
    assert barred("nf_conntrack", host.ssh("modprobe --showconfig")).startswith("install")
