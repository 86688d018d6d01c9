"""Docker's engine on a bare host: safe settings, the administrator's own kept, a bad file taken back, containers that go on."""

from __future__ import annotations

import io
import json

import pytest

from hosts import docker_stage
from hosts.inventory import Member
from hosts.session import Session
from hosts.stages import go_through
from stacks.commands.failures import Failure
from stacks.commands.output import Output
from stacks.document import load
from stacks.machines import Machine
from tests.e2e.bare_host import BareHost, Making, bare_host

__all__ = ["bare_host"]

pytestmark = pytest.mark.timeout(600)
FILE = "/etc/docker/daemon.json"
FILES = 4096  # a host that is a container may not be able to give many


def engine(machine: Machine, log_size: int = 10) -> list[str]:
    """What changed."""
    limits = {"log_size": log_size, "open_files": FILES}
    member = Member(machine, load({"topology": "compose", "limits": limits, "hosts": {"install": "docker"}}))
    output = Output(machine=True)
    output.console.file = io.StringIO()
    return go_through(Session(machine), docker_stage.stages(member), output, dry=False)


@pytest.fixture(scope="module")
def host(bare_host: Making) -> BareHost:
    made = bare_host("native-docker", "-v", "/var/lib/docker")
    made.ssh('mkdir -p /etc/docker && echo \'{"data-root": "/var/lib/docker", "icc": true}\' > /etc/docker/daemon.json')
    assert engine(made.machine)
    # An image of what is there, for no registry is reached.
    libraries = "$(cd / && ls usr/lib/x86_64-linux-gnu/{libc.so.6,ld-linux-x86-64.so.2})"
    made.ssh(f"tar -C / -c bin lib lib64 usr/bin/sleep usr/lib64 {libraries} | docker import - test")
    return made


def test_the_engine_runs_with_safe_settings_and_the_administrators_own(host: BareHost) -> None:
    told = json.loads(host.ssh(f"cat {FILE}"))
    assert told["log-opts"] == {"max-size": "10m", "max-file": "5"}
    assert told["icc"] is True
    info = json.loads(host.ssh("docker info --format '{{json .}}'"))
    assert info["LiveRestoreEnabled"]
    assert "no-new-privileges" in str(info["SecurityOptions"]) or told["no-new-privileges"]


def test_a_second_run_changes_nothing_and_restarts_nothing(host: BareHost) -> None:
    pid = host.ssh("systemctl show -p MainPID docker")
    assert engine(host.machine) == []
    assert host.ssh("systemctl show -p MainPID docker") == pid


def test_a_container_has_the_limits_and_goes_on_while_the_engine_is_restarted(host: BareHost) -> None:
    host.ssh("docker run -d --name on test /usr/bin/sleep 600")
    pid = host.ssh("docker inspect -f '{{.State.Pid}}' on").strip()
    assert str(FILES) in host.ssh(f"grep 'Max open files' /proc/{pid}/limits")
    assert "NoNewPrivs:\t1" in host.ssh(f"grep NoNewPrivs /proc/{pid}/status")
    assert engine(host.machine, log_size=20)
    assert host.ssh("docker inspect -f '{{.State.Pid}} {{.State.Running}}' on").split() == [pid, "true"]
    assert json.loads(host.ssh(f"cat {FILE}"))["log-opts"]["max-size"] == "20m"


def test_a_file_with_which_it_does_not_start_is_taken_back(host: BareHost) -> None:
    before = host.ssh(f"cat {FILE}")
    new = "/var/lib/veloz/host/daemon.json.new"
    host.ssh(f"cat > {new}", stdin='{"no-such-setting": true}')
    said = host.ssh(f"sh /var/lib/veloz/host/docker_daemon.sh {new} 2>&1 || echo failed", check=False)
    assert "failed" in said
    assert host.ssh(f"cat {FILE}") == before
    assert host.ssh("docker version --format '{{.Server.Version}}'").strip()


def test_a_file_that_is_no_json_is_refused_before_anything_is_changed(host: BareHost) -> None:
    before = host.ssh(f"cat {FILE}")
    host.ssh(f"cat > {FILE}", stdin="{")
    with pytest.raises(Failure, match=r"daemon\.json: is not JSON"):
        engine(host.machine)
    host.ssh(f"cat > {FILE}", stdin=before)
