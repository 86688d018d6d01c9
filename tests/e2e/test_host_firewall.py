"""A real host's firewall: who switches it on is never locked out, and a wrong rule undoes itself."""

from __future__ import annotations

import io
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from hosts import firewall_plan, firewall_stage, firewalling
from hosts.inventory import Member
from hosts.ufw import Rule
from stacks.commands.failures import Failure
from stacks.commands.output import Output
from stacks.document import load
from tests.e2e.bare_host import BareHost, Making, bare_host
from tests.e2e.outsider import both_families

__all__ = ["bare_host"]

pytestmark = pytest.mark.timeout(2400)
CYCLES = int(os.environ.get("FIREWALL_CYCLES", "100"))
REVERT_SECONDS = 30
ATTEMPT_SECONDS = 1
SPEC = load({"topology": "compose", "edge": {"address": "0.0.0.0", "hostname": "veloz.example.com"}})  # noqa: S104

# Rules and counters-less tables of both families, the sysctls that ufw sets, its files: all that a firewall is here.
STATE = r"""
for tool in iptables ip6tables; do $tool-save -t filter | sed 's/\[[0-9:]*\]//; /^#/d'; done
sysctl -a 2>/dev/null | grep -E 'accept_redirects|log_martians|icmp_'
cd /etc && find ufw default/ufw -type f -exec sha256sum {} + | sort; stat -c '%a %U %n' ufw/* default/ufw
systemctl is-enabled ufw; ls /etc/systemd/system /etc/systemd/system/timers.target.wants
"""


@pytest.fixture(scope="module")
def host(bare_host: Making) -> Iterator[BareHost]:
    with both_families("firewall-way-in", 71) as places:
        made = bare_host("firewall-way-in", *places.options(2))
        made.session.run(firewall_stage.install)
        yield made
        subprocess.run(["docker", "rm", "-f", "firewall-way-in"], check=False, capture_output=True)


def on(host: BareHost, *, off: bool = False) -> list[str]:
    told = firewalling.firewall((Member(host.machine, SPEC),), quiet(), off=off)
    return list(told["hosts"][host.address]["changes"])


def quiet() -> Output:
    output = Output(machine=True)
    output.console.file = io.StringIO()
    return output


def wrong(host: BareHost) -> firewall_plan.Plan:
    """Switched on with nobody let in, not even who does it."""
    seen = firewalling.look(Member(host.machine, SPEC), host.session)
    rules = [Rule(rule.port, rule.source, "wrong", "deny", first=True) for rule in seen.rules if rule.first]
    return firewall_plan.plan((*rules, *(rule for rule in seen.rules if not rule.first)), seen.found)


def connects(host: BareHost) -> bool:
    """A connection of its own, by the ordinary client."""
    options = ["-o", f"ConnectTimeout={ATTEMPT_SECONDS}", "-o", "StrictHostKeyChecking=no"]
    command = [
        "ssh",
        "-q",
        "-i",
        host.key,
        *options,
        "-o",
        f"UserKnownHostsFile={host.known_hosts}",
        f"root@{host.address}",
    ]
    return subprocess.run([*command, "true"], check=False, capture_output=True).returncode == 0


class Live:
    """A session that was open before, and answers."""

    def __init__(self, host: BareHost) -> None:
        options = ["-o", "StrictHostKeyChecking=no", "-o", f"UserKnownHostsFile={host.known_hosts}"]
        command = ["ssh", "-q", "-i", host.key, *options, f"root@{host.address}", "cat"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def answers(self, word: str) -> bool:
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(f"{word}\n")
        self._process.stdin.flush()
        return self._process.stdout.readline().strip() == word

    def end(self) -> None:
        self._process.kill()
        self._process.communicate()


@contextmanager
def watched(host: BareHost) -> Iterator[list[tuple[float, bool]]]:
    """New connections, one after the other: when each began, and whether it succeeded."""
    attempts: list[tuple[float, bool]] = []
    done = threading.Event()

    def watch() -> None:
        while not done.wait(0.2):
            began = time.monotonic()
            attempts.append((began, connects(host)))

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield attempts
    finally:
        done.set()
        thread.join()


def outage(attempts: list[tuple[float, bool]]) -> float:
    """From the first connection that failed to the first that succeeded after it; 0 when none failed."""
    failed = [at for at, well in attempts if not well]
    if not failed:
        return 0.0
    back = [at for at, well in attempts if well and at > failed[-1]]
    assert back, "no connection succeeded after the last that failed"
    return back[0] - failed[0]


def test_switching_it_on_and_applying_it_again_never_locks_out(host: BareHost) -> None:
    live = Live(host)
    try:
        alive = new = 0
        for cycle in range(CYCLES):
            # In turn: switched off, so that it is enabled; one rule of ours gone, so that it is applied again.
            host.ssh("ufw --force disable" if cycle % 2 else "ufw delete allow 443/tcp; true")
            assert on(host), f"cycle {cycle}: nothing to change"
            alive += live.answers(f"cycle {cycle}")
            new += connects(host)
        sys.stdout.write(f"\n{alive} of {CYCLES} live sessions, {new} of {CYCLES} new connections\n")
        assert (alive, new) == (CYCLES, CYCLES)
    finally:
        live.end()
    assert on(host) == []
    assert "Status: active" in host.ssh("ufw status")


def comes_back(host: BareHost, was: str) -> None:
    """All of it: the way in is open a moment before the rest is put back."""
    end = time.monotonic() + 10
    while host.ssh(STATE) != was and time.monotonic() < end:
        time.sleep(0.2)
    assert host.ssh(STATE) == was


@pytest.mark.parametrize("before", ["on", "off"])
def test_a_wrong_rule_undoes_itself(host: BareHost, before: str) -> None:
    on(host)
    if before == "off":
        on(host, off=True)
    was = host.ssh(STATE)
    plan = wrong(host)
    live = Live(host)
    try:
        assert live.answers("before")
        with watched(host) as attempts:
            with pytest.raises(Failure, match="has its former firewall back"):
                firewalling.change(host.session, plan)
            while not attempts[-1][1]:
                time.sleep(0.2)
        assert live.answers("after"), "the session from before is dead"
    finally:
        live.end()
    sys.stdout.write(f"\nwrong rule, firewall {before} before: no new connection for {outage(attempts):.1f} s\n")
    assert 0 < outage(attempts) <= REVERT_SECONDS
    comes_back(host, was)


def test_a_killed_controller_leaves_the_host_as_it_was(host: BareHost) -> None:
    on(host, off=True)
    was = host.ssh(STATE)
    plan = wrong(host)
    with watched(host) as attempts:
        host.session.run(firewall_stage.arm, plan)
        host.session.ask(lambda _: host.session.run(firewall_stage.apply))
        time.sleep(ATTEMPT_SECONDS + 1)
        while not attempts[-1][1]:
            time.sleep(0.2)
    sys.stdout.write(f"\ncontroller gone: no new connection for {outage(attempts):.1f} s\n")
    assert 0 < outage(attempts) <= REVERT_SECONDS
    comes_back(host, was)


def test_a_reboot_in_between_does_not_stop_the_way_back(host: BareHost) -> None:
    on(host, off=True)
    was = host.ssh(STATE)
    plan = wrong(host)
    host.session.run(firewall_stage.arm, plan)
    host.session.run(firewall_stage.apply)
    host.reboot()
    began = time.monotonic()
    assert not connects(host), "the wrong rule is not in force after the reboot: this test shows nothing"
    while not connects(host):
        assert time.monotonic() - began < REVERT_SECONDS
    sys.stdout.write(
        f"\nrebooted with the wrong rule in force: connections again after {time.monotonic() - began:.1f} s\n"
    )
    comes_back(host, was)


def test_a_rule_of_somebody_else_stays_and_off_gives_back_what_was(host: BareHost) -> None:
    on(host, off=True)
    host.ssh("ufw allow 2222/tcp comment 'mine'; ufw deny from 192.0.2.9 to any port 22 proto tcp")
    was = host.ssh(STATE)
    assert on(host)
    added = host.ssh("ufw show added")
    assert "ufw allow 2222/tcp comment 'mine'" in added
    assert added.index("veloz: ssh") < added.index("ufw deny from 192.0.2.9")
    host.ssh("ufw allow 2223/tcp comment 'later'")
    assert on(host) == []
    assert on(host, off=True)
    assert "2223/tcp" in host.ssh("ufw show added")
    host.ssh("ufw delete allow 2223/tcp")
    assert host.ssh(STATE) == was
