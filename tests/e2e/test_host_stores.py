"""PostgreSQL and Redis of a host: brought up from any state, and left as they are where they serve somebody."""

from __future__ import annotations

import io
from collections.abc import Callable
from functools import partial

import pytest

from hosts import native_stage
from hosts.inventory import Member
from hosts.stages import Stage, go_through
from stacks.commands.output import Output
from stacks.document import load
from tests.e2e.bare_host import BareHost, Making, bare_host
from tests.e2e.host_commands import hosts

__all__ = ["bare_host"]

pytestmark = pytest.mark.timeout(900)
KILLED = "systemctl kill -s KILL $unit; while systemctl is-active -q $unit; do :; done"
STATES = {
    "stopped": "systemctl stop $unit",
    "killed": KILLED,
    "without checksums, stopped": "systemctl stop $unit; $off",
    "without checksums, killed": f"systemctl stop $unit; $off; systemctl start $unit; {KILLED}",
    "without checksums, masked": "systemctl stop $unit; $off; systemctl mask --runtime $unit",
    "Redis stopped": "systemctl stop redis-server",
}


@pytest.mark.parametrize("state", STATES)
def test_stores_are_brought_up_from_any_state(host_with_stores: BareHost, state: str) -> None:
    version = host_with_stores.ssh("ls /usr/lib/postgresql").strip()
    off = (
        f"(cd /; runuser -u postgres -- /usr/lib/postgresql/{version}/bin/pg_checksums --disable "
        f"-D /var/lib/postgresql/{version}/main)"
    )
    host_with_stores.ssh(STATES[state].replace("$off", off).replace("$unit", f"postgresql@{version}-main"))
    assert stores(host_with_stores)
    asked = "runuser -u postgres -- psql -AXtqc 'SHOW data_checksums'; redis-cli -s /run/redis/redis-server.sock ping"
    said = host_with_stores.ssh(f"cd /; {asked}")
    assert said.split() == ["on", "PONG"]
    assert stores(host_with_stores) == []


@pytest.fixture(scope="module")
def host_with_stores(bare_host: Making) -> BareHost:
    host = bare_host("native-stores")
    assert stores(host)
    return host


def stores(host: BareHost) -> list[str]:
    """What changed."""
    return through(host, native_stage.packages, native_stage.users, native_stage.stores, native_stage.database)


def through(host: BareHost, *stages: Callable[[Member], None]) -> list[str]:
    member = Member(host.machine, load({"topology": "compose"}))
    output = Output(machine=True)
    output.console.file = io.StringIO()
    return go_through(host.session, [Stage(one.__name__, partial(one, member)) for one in stages], output, dry=False)


def test_stores_that_serve_somebody_are_left_as_they_are(bare_host: Making) -> None:
    """Fresh ones pass, as a run leaves them that was cut off after its packages."""
    host = bare_host("native-theirs")
    through(host, native_stage.packages)
    fresh = hosts(host, "provision", "--dry-run")
    assert fresh.status == 0, fresh.words
    asked = "redis-cli -n 3 get cart; redis-cli config get appendonly; cd /; runuser -u postgres -- psql -XAtqc 'SHOW port' shop"
    files = "find /etc /var/lib/veloz -type f -printf '%p %T@\\n' 2>/dev/null | sort"
    host.ssh("cd /; runuser -u postgres -- createdb shop; redis-cli -n 3 set cart full")
    before = host.ssh(f"{asked}; {files}")
    refused = hosts(host, "provision")
    assert refused.status != 0
    assert "have database shop. A native install takes over the host's own PostgreSQL" in refused.document["error"]
    assert "have 1 keys in database 3. A native install takes over the host's own Redis" in refused.document["error"]
    assert host.ssh(f"{asked}; {files}") == before
    host.ssh("cd /; runuser -u postgres -- dropdb shop; redis-cli flushall; redis-cli save")
    moved = hosts(host, "provision", "--dry-run")
    assert moved.status == 0, moved.words
