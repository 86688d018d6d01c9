"""A bare host that is tuned, and a machine that is as before when its tests are done."""

from __future__ import annotations

import os
from collections.abc import Iterator

import pytest

from tests.e2e.bare_host import BareHost, Making, missing
from tests.e2e.bare_host import bare_host as bare_host  # noqa: PLC0414 - a fixture
from tests.e2e.host_commands import Done, hosts
from tests.e2e.host_values import differences, everything, machine_put_back

THP = "/sys/kernel/mm/transparent_hugepage/enabled"
OURS = "/etc/sysctl.d/99-veloz.conf"
# Of the kills, failures and changes: each, or every so many on a machine that is busy or small.
EVERY = int(os.environ.get("VELOZ_E2E_EVERY", "1"))
GOOD = {"ok", "skipped", "unavailable"}


@pytest.fixture(scope="module", autouse=True)
def machine() -> Iterator[None]:
    if missing():
        yield
        return
    with machine_put_back():
        yield


@pytest.fixture(scope="module")
def host(bare_host: Making, request: pytest.FixtureRequest) -> BareHost:
    """/sys is writable on it, until it boots again; its huge pages are as most kernels have them, so they are tuned too."""
    made = bare_host(str(request.module.HOST))
    made.ssh(f"mount -o remount,rw /sys && echo always > {THP}")
    return made


@pytest.fixture(scope="module")
def pristine(host: BareHost) -> dict[str, str]:
    """As the host is before anything of ours was there."""
    return everything(host)


@pytest.fixture
def untouched(host: BareHost, pristine: dict[str, str]) -> dict[str, str]:
    """The same: whatever the test before did is undone without a trace."""
    assert hosts(host, "untune").status == 0
    assert differences(pristine, everything(host)) == {}
    return pristine


@pytest.fixture
def tuned(host: BareHost, pristine: dict[str, str]) -> Done:
    """After it was looked at as it is before anything of ours."""
    assert pristine
    hosts(host, "tune")
    done = verify(host)
    assert bad(done) == {}, done.words
    assert done.status == 0
    return done


def verify(host: BareHost) -> Done:
    return hosts(host, "verify", "--only", "tuning")


def rows(done: Done) -> dict[str, str]:
    return {row["what"]: row["verdict"] for row in done.host["rows"]}


def bad(done: Done) -> dict[str, str]:
    return {what: verdict for what, verdict in rows(done).items() if verdict not in GOOD}


def set_keys(host: BareHost) -> dict[str, str]:
    """The sysctls of our file and their values."""
    lines = [line.partition("=") for line in host.ssh(f"grep -v '^#' {OURS}").splitlines() if "=" in line]
    return {key.strip().lstrip("-"): " ".join(value.split()) for key, _, value in lines}
