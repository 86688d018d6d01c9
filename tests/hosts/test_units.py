"""The units of a native install follow from the description, and are locked in."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest

from hosts.units import Cpus, fingerprint, gateway_files, units, watchdog_seconds
from stacks.document import load
from stacks.spec import Deployment

EXPOSURE = 2.0  # of systemd-analyze's scale from 0 to 10; a bare unit has 9.6
GATEWAY, BALANCER = "veloz-gateway@.service", "veloz-balancer.service"


def spec(**fields: Any) -> Deployment:  # noqa: ANN401 - as the document has it
    return load({"topology": "compose"} | fields)


def told(text: str, name: str) -> list[str]:
    return re.findall(rf"^{name}=(.*)$", text, re.MULTILINE)


def test_limits_are_the_descriptions() -> None:
    found = units(
        spec(
            gateways={"stop_grace": 44},
            limits={"open_files": 20_000},
            sizes={"gateway": {"memory": 1000}, "engine": {"memory": 500}},
        ),
        Cpus(),
    )
    assert told(found[GATEWAY], "TimeoutStopSec") == ["44"]
    assert told(found[GATEWAY], "LimitNOFILE") == ["20000"] == told(found[BALANCER], "LimitNOFILE")
    assert told(found[GATEWAY], "MemoryMax") == ["1500M"]
    assert told(found[GATEWAY], "CPUAffinity") == []


def test_a_gateway_is_watched_drained_and_restarted() -> None:
    text = units(spec(), Cpus())[GATEWAY]
    for name, value in (
        ("Type", "notify"),
        ("Restart", "always"),
        ("KillMode", "mixed"),
        ("KillSignal", "SIGTERM"),
        ("StartLimitIntervalSec", "0"),
        ("User", "veloz"),
        ("LimitCORE", "0"),
        ("WatchdogSec", str(watchdog_seconds(spec()))),
    ):
        assert told(text, name) == [value]
    assert "postgresql.service redis-server.service" in told(text, "After")[0]


def test_a_longer_lease_is_waited_for() -> None:
    assert watchdog_seconds(spec(gateways={"settings": {"lease_ttl": 10, "watch_interval": 0.3}})) == 30


def test_cores_are_the_gateways_and_each_engine_has_its_own() -> None:
    cpus = Cpus("0-1", ("2", "3"))
    assert told(units(spec(), cpus)[GATEWAY], "CPUAffinity") == ["0-1"]
    files = gateway_files(spec(), cpus, "abc")
    assert [told(files[n], "VELOZ_ENGINE_CPUS") for n in (1, 2, 3)] == [['"2"'], ['"3"'], ['"3"']]


def test_only_a_gateway_that_may_leave_reaches_the_internet() -> None:
    assert told(units(spec(), Cpus())[GATEWAY], "IPAddressDeny") == ["any"]
    assert told(units(spec(gateways={"egress": True}), Cpus())[GATEWAY], "IPAddressDeny") == []


@pytest.mark.parametrize(
    ("other", "release"),
    [
        (spec(gateways={"settings": {"rate_limit_key": 1}}), "abc"),
        (spec(limits={"open_files": 20_000}), "abc"),
        (spec(), "abd"),
    ],
)
def test_whatever_a_gateway_starts_with_is_in_its_fingerprint(other: Deployment, release: str) -> None:
    def marks(one: Deployment, release: str) -> dict[int, str]:
        return {n: fingerprint(text) for n, text in gateway_files(one, Cpus(), release).items()}

    before = marks(spec(), "abc")
    assert before == marks(spec(), "abc")
    assert not set(before.values()) & set(marks(other, release).values())


def test_another_balancer_restarts_no_gateway() -> None:
    assert gateway_files(spec(), Cpus(), "abc") == gateway_files(spec(edge={"kind": "haproxy"}), Cpus(), "abc")


@pytest.mark.skipif(
    not shutil.which("systemd-analyze"), reason="systemd-analyze is not installed; tests/e2e asks a host's"
)
@pytest.mark.parametrize("kind", ["nginx", "haproxy"])
@pytest.mark.parametrize("egress", [False, True])
def test_units_are_locked_in(tmp_path: Path, kind: str, *, egress: bool) -> None:
    for name, text in units(spec(edge={"kind": kind}, gateways={"egress": egress}), Cpus()).items():
        if not name.endswith(".service"):
            continue
        file = tmp_path / name
        file.write_text(text)
        said = subprocess.run(
            ["systemd-analyze", "security", "--offline=yes", "--no-pager", str(file)],
            check=False, capture_output=True, text=True,
        )  # fmt: skip
        found = re.search(r"exposure level for \S+ (\d+\.\d+)", said.stdout)
        assert found, said.stderr
        assert float(found[1]) <= EXPOSURE
