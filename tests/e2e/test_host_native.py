"""A bare host, provisioned: it serves orders behind its balancer with TLS, heals itself and comes back with all state."""

from __future__ import annotations

import io
import json
import re
import ssl
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from hosts import native_install, provisioning, unit_rows
from hosts.bundle import bundle
from hosts.inventory import Member
from hosts.stages import go_through
from hosts.units import Cpus
from stacks.commands.failures import Failure
from stacks.commands.output import Output
from stacks.document import load
from tests.e2e.bare_host import BareHost, Making, bare_host
from tests.e2e.host_commands import Done, hosts
from tests.e2e.host_values import machine_put_back
from tests.e2e.outsider import both_families

__all__ = ["bare_host"]

pytestmark = pytest.mark.timeout(1200)
GATEWAYS = (1, 2, 3)
EXPOSURE = 2.0  # of systemd-analyze's scale from 0 to 10; a bare unit has 9.6
WATCHDOG_SECONDS = 9
# The tables that hold what an account has; text of every row, in an order of its own.
STATE = """cd /; for t in orders balances positions accounts order_wal api_keys; do
ask="SELECT '$t', count(*), md5(string_agg(r::text, '|' ORDER BY r::text)) FROM $t r"
runuser -u veloz -- psql -h /run/postgresql -AtXq veloz -c "$ask"
done"""


class Provisioned:
    """The host, what the first run said, and a client of its edge."""

    def __init__(self, host: BareHost, first: Done) -> None:
        self.host = host
        self.first = first
        self._context = ssl.create_default_context(cadata=host.ssh("cat /etc/veloz/balancer/ca.crt"))
        self._key = host.ssh("cat /etc/veloz/api_key")

    def ask(self, path: str, body: dict[str, Any] | None = None) -> Any:  # noqa: ANN401 - any JSON value
        """From outside, as a client does."""
        request = urllib.request.Request(
            f"https://{self.host.address}{path}",
            data=None if body is None else json.dumps(body).encode(),
            headers={"X-API-Key": self._key, "Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, context=self._context, timeout=10) as answer:
            return json.load(answer)

    def order(self, name: str, price: str = "1000") -> dict[str, Any]:
        body = {"side": "BUY", "symbol": "BTCUSDT", "qty": "0.001", "price": price, "type": "LIMIT"}
        answer: dict[str, Any] = self.ask("/api/order", {**body, "client_order_id": name})
        return answer

    def state(self) -> str:
        """When nothing is under way: the recorder of checkpoints and prices has its own tables."""
        return self.host.ssh(STATE)

    def show(self, gateway: int, name: str) -> str:
        return self.host.ssh(f"systemctl show -p {name} --value veloz-gateway@{gateway}").strip()


@pytest.fixture(scope="module")
def provisioned(bare_host: Making) -> Iterator[Provisioned]:
    # Its address is what the certificate is for: a reboot must not change it.
    with machine_put_back(), both_families("native-e2e", 74) as places:
        host = bare_host("native-e2e", *places.options(2))
        done = hosts(host, "provision", seconds=900)
        assert done.status == 0, done.words
        yield Provisioned(host, done)
        subprocess.run(["docker", "rm", "-f", "native-e2e"], check=False, capture_output=True)  # before its network


def until(true: Callable[[], bool], seconds: float) -> float:
    """How long it took."""
    started = time.monotonic()
    while not true():
        assert time.monotonic() - started < seconds, f"not within {seconds} s"
        time.sleep(0.1)
    return time.monotonic() - started


def running_anew(system: Provisioned, gateway: int, pid: str) -> bool:
    return system.show(gateway, "SubState") == "running" and system.show(gateway, "MainPID") != pid


def test_provisioning_alone_ends_with_an_order_accepted_through_the_balancer(provisioned: Provisioned) -> None:
    steps = {what: detail for what, detail, _ in provisioned.first.host["steps"]}
    assert steps["order"].startswith("ACCEPTED")
    assert steps["event of the cancellation"] == "CANCELLED"
    assert "from the controller" in steps
    assert provisioned.order("outside-1")["status"] == "ACCEPTED"


def test_a_second_run_changes_nothing(provisioned: Provisioned, record_property: Callable[[str, object], None]) -> None:
    pids = [provisioned.show(n, "MainPID") for n in GATEWAYS]
    started = time.monotonic()
    again = hosts(provisioned.host, "provision", seconds=900)
    record_property("second run, seconds", round(time.monotonic() - started, 1))
    assert again.status == 0, again.words
    assert again.host["changed"] == []
    assert [provisioned.show(n, "MainPID") for n in GATEWAYS] == pids


def test_nobody_else_reads_the_secrets(provisioned: Provisioned) -> None:
    host = provisioned.host
    said = host.ssh("stat -c '%n %U %a' /etc/veloz/api_key /etc/veloz/cluster_secret /etc/veloz/balancer/tls.key")
    assert said.splitlines() == [
        "/etc/veloz/api_key veloz 400",
        "/etc/veloz/cluster_secret veloz 400",
        "/etc/veloz/balancer/tls.key veloz-balancer 400",
    ]
    for secret in ("/etc/veloz/api_key", "/etc/veloz/cluster_secret"):
        text = host.ssh(f"cat {secret}")
        assert re.fullmatch("[0-9a-f]{64}", text)
        assert text not in json.dumps(provisioned.first.document) + provisioned.first.words
        places = "journalctl --no-pager; cat /proc/[0-9]*/cmdline /proc/[0-9]*/environ | tr '\\0' '\\n'"
        tree = 'grep -rIl -e "$S" /etc /opt/veloz /tmp /root /run/veloz* --exclude-dir=venv 2>/dev/null'
        found = host.ssh(f'S=$(cat {secret}); ({places}) | grep -cF -e "$S"; {tree}', check=False).splitlines()
        # The grep itself is a process with the key on its command line; it asked once.
        assert [line for line in found if line.startswith("/")] == [secret]
    assert host.ssh("ss -Hltn 'sport = :5432' ; ss -Hltn 'sport = :6379'") == ""


def test_units_are_locked_in(provisioned: Provisioned, record_property: Callable[[str, object], None]) -> None:
    for unit in ("veloz-gateway@.service", "veloz-balancer.service"):
        said = provisioned.host.ssh(
            f"systemd-analyze security --offline=yes --no-pager /etc/systemd/system/{unit}", check=False
        )
        found = re.search(r"exposure level for \S+ (\d+\.\d+)", said)
        assert found, said
        record_property(f"exposure of {unit}", found[1])
        assert float(found[1]) <= EXPOSURE


def test_every_unit_is_verified_and_what_is_loosened_is_found(provisioned: Provisioned) -> None:
    good = hosts(provisioned.host, "verify", "--only", "units")
    assert good.status == 0, good.words
    drop_in = "/etc/systemd/system/veloz-gateway@3.service.d/loose.conf"
    loosened = (
        "NoNewPrivileges=no SystemCallFilter= SystemCallFilter=~@obsolete WatchdogSec=60 MemoryMax=2G ProtectSystem=no"
    )
    lines = "\n".join(["[Service]", *loosened.split(), "PrivateTmp=no", "ProtectHome=no", ""])
    provisioned.host.ssh(f"mkdir -p $(dirname {drop_in}); cat > {drop_in}", stdin=lines)
    provisioned.host.ssh("systemctl daemon-reload; systemctl restart veloz-gateway@3")
    try:
        loose = hosts(provisioned.host, "verify", "--only", "units")
    finally:
        provisioned.host.ssh(f"rm -r $(dirname {drop_in}); systemctl daemon-reload; systemctl restart veloz-gateway@3")
    bad = {row["what"] for row in loose.host["rows"] if row["verdict"] not in {"ok", "unavailable"}}
    name = "veloz-gateway@3.service: "
    assert {"watchdog, µs (/proc)", "memory (cgroup)", "exposure (systemd-analyze security)"} <= {
        one.removeprefix(name) for one in bad if one.startswith(name)
    }
    assert loose.status == 1


def test_a_gateway_has_the_limits_of_the_description(provisioned: Provisioned) -> None:
    for gateway in GATEWAYS:
        pid = provisioned.show(gateway, "MainPID")
        limits = provisioned.host.ssh(f"cat /proc/{pid}/limits")
        # A container's systemd cannot give more than it has.
        most = provisioned.host.ssh("awk '/^Max open files/ {print $5}' /proc/1/limits").strip()
        wanted = min(65_535, int(most))
        assert re.search(rf"Max open files\s+{wanted}\s+{wanted}", limits)
        assert re.search(r"Max core file size\s+0\s+0", limits)


def test_a_killed_gateway_is_started_again(
    provisioned: Provisioned, record_property: Callable[[str, object], None]
) -> None:
    pid = provisioned.show(1, "MainPID")
    provisioned.host.ssh(f"kill -9 {pid}")
    record_property("killed: back, seconds", round(until(lambda: running_anew(provisioned, 1, pid), 15), 1))
    assert provisioned.order("after-kill")["status"] == "ACCEPTED"
    assert provisioned.order("outside-1")["status"] == "ACCEPTED"  # the same order again, the same answer


def test_a_hung_gateway_is_started_again(
    provisioned: Provisioned, record_property: Callable[[str, object], None]
) -> None:
    pid = provisioned.show(2, "MainPID")
    provisioned.host.ssh(f"kill -STOP {pid}")
    seconds = until(lambda: running_anew(provisioned, 2, pid), WATCHDOG_SECONDS + 15)
    record_property("hung: back, seconds", round(seconds, 1))
    assert "Watchdog timeout" in provisioned.host.ssh("journalctl -u veloz-gateway@2 --no-pager")


def test_a_stop_drains_within_the_descriptions_time(provisioned: Provisioned) -> None:
    started = time.monotonic()
    provisioned.host.ssh("systemctl stop veloz-gateway@3")
    assert time.monotonic() - started < 30
    assert provisioned.show(3, "Result") == "success"
    assert provisioned.order("while-one-is-away")["status"] == "ACCEPTED"
    provisioned.host.ssh("systemctl start veloz-gateway@3")


def test_all_orders_and_balances_are_there_after_a_reboot(
    provisioned: Provisioned, record_property: Callable[[str, object], None]
) -> None:
    for number in range(20):
        assert provisioned.order(f"before-{number}")["status"] == "ACCEPTED"
    assert provisioned.order("filled", price="1000000")["status"] == "FILLED"
    before = provisioned.state()
    provisioned.host.reboot()
    started = time.monotonic()

    def serves() -> bool:
        try:
            return bool(provisioned.ask("/health/ready")["ok"])
        except OSError:
            return False

    record_property("after the reboot: ready, seconds", round(until(serves, 60), 1))
    assert provisioned.state() == before
    assert provisioned.order("before-7")["status"] == "ACCEPTED"  # the same again: the first answer, no second order
    assert provisioned.state() == before
    assert provisioned.order("after-reboot")["status"] == "ACCEPTED"
    assert time.monotonic() - started < 120


def test_a_third_run_after_all_that_changes_nothing(provisioned: Provisioned) -> None:
    again = hosts(provisioned.host, "provision", seconds=900)
    assert again.status == 0, again.words
    assert [one for one in again.host["changed"] if not one.startswith("tuning: ")] == []


def test_another_balancer_takes_over_and_no_gateway_notices(provisioned: Provisioned) -> None:
    pids = [provisioned.show(n, "MainPID") for n in GATEWAYS]
    edge = {"address": "0.0.0.0", "hostname": provisioned.host.address, "kind": "haproxy"}  # noqa: S104
    member = Member(provisioned.host.machine, load({"topology": "compose", "edge": edge}))
    output = Output(machine=True)
    output.console.file = io.StringIO()
    told = provisioning.provision((member,), output)
    assert {what: detail for what, detail, _ in told["hosts"][0]["steps"]}["order"].startswith("ACCEPTED")
    assert [provisioned.show(n, "MainPID") for n in GATEWAYS] == pids
    assert '"haproxy"' in provisioned.host.ssh("ss -Hltnp 'sport = :443'")


def test_gateways_and_engines_stay_on_the_cpus_they_are_given(provisioned: Provisioned) -> None:
    """Machines as small as a test's pin nothing by themselves, so they are told to here."""
    host, cpus = provisioned.host, Cpus("0", ("1",))
    if host.ssh("nproc").strip() == "1":
        pytest.skip("one CPU is not enough to be pinned to")
    edge = {"address": "0.0.0.0", "hostname": host.address, "kind": "haproxy"}  # noqa: S104
    member = Member(host.machine, load({"topology": "compose", "edge": edge}))
    output = Output(machine=True)
    output.console.file = io.StringIO()
    told = go_through(host.session, native_install.stages(member, bundle(), cpus), output, dry=False)
    assert any("gateways 1, 2, 3 restarted" in one for one in told)
    rows = {row.what: row for row in unit_rows.rows(member, host.session, cpus)}
    for gateway in GATEWAYS:
        name = f"veloz-gateway@{gateway}.service"
        for what, cpu in (("CPUs (taskset)", "0"), ("its engine's CPUs (taskset)", "1")):
            assert (rows[f"{name}: {what}"].have, rows[f"{name}: {what}"].verdict) == (cpu, "ok")
        pid = provisioned.show(gateway, "MainPID")
        engine = host.ssh(f"pgrep -P {pid} veloz_engine").strip()
        assert host.ssh(f"taskset -cp {pid}").rpartition(" ")[2].strip() == "0"
        assert host.ssh(f"taskset -cp {engine}").rpartition(" ")[2].strip() == "1"
    assert provisioned.order("pinned")["status"] == "ACCEPTED"
    assert {row.verdict for row in rows.values()} <= {"ok", "unavailable"}


def test_another_hostname_is_served_with_a_certificate_for_it(provisioned: Provisioned) -> None:
    """Last: clients of the former authority are met no more."""
    host = provisioned.host
    edge = {"address": "0.0.0.0", "hostname": "trade.example.com", "kind": "haproxy"}  # noqa: S104
    member = Member(host.machine, load({"topology": "compose", "edge": edge}))
    output = Output(machine=True)
    output.console.file = io.StringIO()
    before = host.ssh("cat /etc/veloz/api_key")
    told = provisioning.provision((member,), output)["hosts"][0]
    steps = {what: detail for what, detail, _ in told["steps"]}
    assert steps["order"].startswith("ACCEPTED")
    assert steps["from the controller"] == "https://trade.example.com"
    assert "secrets and certificate: certificate" in told["changed"]
    assert host.ssh("cat /etc/veloz/api_key") == before
    again = provisioning.provision((member,), output)["hosts"][0]
    assert again["changed"] == []


def test_a_deployment_of_another_name_leaves_the_host_as_it_is(provisioned: Provisioned) -> None:
    host = provisioned.host
    edge = {"address": "0.0.0.0", "hostname": "other.example.com"}  # noqa: S104
    member = Member(host.machine, load({"topology": "compose", "name": "other", "edge": edge}))
    output = Output(machine=True)
    output.console.file = io.StringIO()
    listed = "find /etc/veloz /opt/veloz /etc/systemd/system -newermt @0 -printf '%p %T@\\n' | sort"
    before = host.ssh(listed)
    with pytest.raises(Failure, match="deployment: wanted other, have veloz"):
        provisioning.provision((member,), output)
    assert host.ssh(listed) == before
