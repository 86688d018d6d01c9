"""`provision` cut off at every step of an install, by a kill and by a host that loses power: the next one goes on to the end."""

from __future__ import annotations

import os
import re
import subprocess
import time
from collections.abc import Iterator

import pytest

from tests.e2e.bare_host import BareHost, Making, bare_host
from tests.e2e.host_commands import cut_off, hosts
from tests.e2e.host_values import machine_put_back
from tests.e2e.outsider import both_families
from tests.faults.scale import Figure

__all__ = ["bare_host"]

pytestmark = pytest.mark.timeout(3600)
EVERY = int(os.environ.get("VELOZ_E2E_EVERY", "1"))
SHORTLY = 0.15
# Those that take long enough to be cut off in the middle; of a sample they are always part.
LONG = r"packages of .*|PostgreSQL, .*|release \w+"


@pytest.fixture
def host(bare_host: Making) -> Iterator[BareHost]:
    with machine_put_back(), both_families("native-cut", 75) as places:
        yield bare_host("native-cut", *places.options(2))
        subprocess.run(["docker", "rm", "-f", "native-cut"], check=False, capture_output=True)  # before its network


def ends_well(host: BareHost) -> None:
    """With an order, and the next one finds nothing to do."""
    done = hosts(host, "provision", seconds=900)
    assert done.status == 0, done.words
    assert {what: detail for what, detail, _ in done.host["steps"]}["order"].startswith("ACCEPTED")
    again = hosts(host, "provision", seconds=900)
    assert again.status == 0, again.words
    assert again.host["changed"] == []
    checks = hosts(host, "verify", "--only", "units")
    assert checks.status == 0, checks.words


def test_killed_before_and_in_every_operation_it_goes_on(host: BareHost, figure: Figure) -> None:
    past: list[str] = []
    seen, started = [], time.monotonic()
    while name := (names := cut_off(host, past, LONG, every=EVERY))[-1]:
        seen.append(name)
        past = names[:-1]
        for seconds in (0.6, 3.0, 12.0) if re.fullmatch(LONG, name) else (SHORTLY,):
            cut_off(host, past, re.escape(name), seconds=seconds)
        past = names
    ends_well(host)
    figure("operations before and in which it was killed", f"{len(seen)}: {', '.join(seen)}")
    figure("seconds", time.monotonic() - started)
    assert len(seen) * EVERY > 25


def power_loss(host: BareHost, past: list[str], seconds: float, every: int = 1) -> list[str]:
    """As `cut_off`; the host is there again afterwards."""
    then = f"docker kill {host.name} >/dev/null; docker start {host.name} >/dev/null"
    names = cut_off(host, past, LONG, every=every, seconds=seconds, then=then)
    end = time.monotonic() + 60
    while host.ssh("systemctl is-system-running --wait >/dev/null; echo up", check=False).strip() != "up":
        assert time.monotonic() < end, f"{host.name} does not come back"
        time.sleep(0.5)
    return names


def test_a_host_that_loses_power_goes_on(host: BareHost, figure: Figure) -> None:
    """In the long ones again and again, each time later."""
    past: list[str] = []
    losses: list[str] = []
    while name := (names := power_loss(host, past, SHORTLY, 3 * EVERY))[-1]:
        losses.append(name)
        past = names[:-1]
        for seconds in (2.0, 5.0, 11.0, 17.0) if re.fullmatch(LONG, name) else ():
            power_loss(host, past, seconds)
            losses.append(f"{name} after {seconds:g} s")
        past = names
    ends_well(host)
    figure("losses of power", f"{len(losses)}: {', '.join(losses)}")
