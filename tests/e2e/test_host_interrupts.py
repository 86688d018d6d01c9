"""The unit that gives network cards their CPUs, under a real systemd with its sandbox: a queue of the host's own card is set.

A container has no interrupts of its own: how those are found is tested on a tree of files (tests/tuning).
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.e2e.bare_host import BareHost, Making
from tests.e2e.bare_host import bare_host as bare_host  # noqa: PLC0414 - a fixture
from tests.faults.scale import Figure
from tests.tuning.kernels import host as eight_cpus
from tests.tuning.test_plan import DEMAND
from tuning.choices import Choices
from tuning.machine import INTERRUPTS, INTERRUPTS_RUN, INTERRUPTS_SCRIPT, INTERRUPTS_UNIT
from tuning.plan import plan
from tuning.profile import ROLES

pytestmark = pytest.mark.timeout(300)
QUEUE = "/sys/class/net/eth0/queues/rx-0/rps_cpus"
EXPOSURE = 2.0  # of 10; it writes to /proc and /sys as root, whatever else it may not


@pytest.fixture(scope="module")
def host(bare_host: Making) -> Iterator[BareHost]:
    made = bare_host("hostinterrupts-e2e")
    made.ssh("mount -o remount,rw /sys; mkdir -p /usr/local/lib/veloz")
    files = plan(ROLES, eight_cpus(), DEMAND, Choices()).files
    for path in (INTERRUPTS_SCRIPT, INTERRUPTS_UNIT):  # the host has fewer CPUs than the plan is for
        made.ssh(f"cat > {path}", stdin=files[path].replace("rx-0=77", "rx-0=1"))
    made.ssh(f"systemctl daemon-reload && systemctl -q enable {INTERRUPTS}")
    yield made
    made.ssh(f"systemctl disable --now {INTERRUPTS}")


def test_systemd_has_nothing_to_say_about_it(host: BareHost, figure: Figure) -> None:
    assert host.ssh(f"systemd-analyze verify {INTERRUPTS_UNIT} 2>&1") == ""
    said = host.ssh(f"systemd-analyze security --no-pager {INTERRUPTS} | tail -n 1")
    exposure = float(said.partition(": ")[2].split()[0])
    figure("exposure of the unit", exposure)
    assert exposure <= EXPOSURE


def test_started_it_sets_and_stopped_it_gives_back(host: BareHost) -> None:
    before = host.ssh(f"cat {QUEUE}").strip()
    host.ssh(f"systemctl start {INTERRUPTS}")
    assert host.ssh(f"systemctl is-active {INTERRUPTS}").strip() == "active"
    assert int(host.ssh(f"cat {QUEUE}"), 16) == 1
    host.ssh(f"systemctl stop {INTERRUPTS}")
    assert host.ssh(f"cat {QUEUE}").strip() == before
    assert host.ssh(f"[ -e {INTERRUPTS_RUN} ] || echo gone").strip() == "gone"


def test_it_comes_with_a_boot(host: BareHost) -> None:
    host.reboot()
    host.ssh(f"systemctl is-active --wait {INTERRUPTS} || systemctl start {INTERRUPTS}")
    assert host.ssh(f"systemctl show -p Result --value {INTERRUPTS}").strip() == "success"
