"""What is read of a native install against what the description wants."""

from __future__ import annotations

import pytest

from hosts.inventory import Member
from hosts.unit_rows import judge
from hosts.units import Cpus
from stacks.document import load
from stacks.machines import Machine

MEMBER = Member(
    Machine(address="192.0.2.7"),
    load({"topology": "compose", "gateways": {"replicas": 1}, "edge": {"address": "0.0.0.0", "hostname": "x.example"}}),  # noqa: S104
)
CPUS = Cpus("1", ("2-3",))
GATEWAY, BALANCER = "veloz-gateway@1.service", "veloz-balancer.service"


def good() -> dict[str, list[str]]:
    show = ["ActiveState=active", "UnitFileState=enabled", "NeedDaemonReload=no"]
    return {
        f"show {BALANCER}": [*show, f"MemoryMax={256 << 20}"],
        f"show {GATEWAY}": [*show, "TimeoutStopUSec=30s", "WatchdogUSec=9s", f"MemoryMax={1536 << 20}"],
        f"limits {BALANCER}": ["65535"],
        f"limits {GATEWAY}": ["65535"],
        "limits": ["1048576"],
        f"held {BALANCER}": ["CapBnd:0000000000000400", "NoNewPrivs:1", "Seccomp:2"],
        f"held {GATEWAY}": ["CapBnd:0000000000000000", "NoNewPrivs:1", "Seccomp:2"],
        f"watchdog {GATEWAY}": ["9000000"],
        f"memory {BALANCER}": [str(256 << 20)],
        f"memory {GATEWAY}": [str(1536 << 20)],
        f"exposure {BALANCER}": ["1.7"],
        f"exposure {GATEWAY}": ["2.0"],
        f"cpus {BALANCER}": ["1"],
        f"cpus {GATEWAY}": ["1"],
        f"engine {GATEWAY}": ["2-3"],
        "files": [
            "/etc/veloz/api_key veloz 400",
            "/etc/veloz/cluster_secret veloz 400",
            "/etc/veloz/balancer/tls.key veloz-balancer 400",
        ],
        "listening": ["443", "80"],
    }


def test_what_is_as_described_is_ok() -> None:
    assert {row.verdict for row in judge(MEMBER, CPUS, good())} == {"ok"}


@pytest.mark.parametrize(
    ("section", "lines", "what", "verdict"),
    [
        (f"show {GATEWAY}", [], f"{GATEWAY}: ActiveState", "missing"),
        (f"show {BALANCER}", ["ActiveState=failed"], f"{BALANCER}: ActiveState", "differs"),
        (f"limits {GATEWAY}", ["1024"], f"{GATEWAY}: open files (/proc)", "differs"),
        (
            f"held {GATEWAY}",
            ["CapBnd:00000000a80425fb", "NoNewPrivs:1", "Seccomp:2"],
            f"{GATEWAY}: CapBnd (/proc)",
            "differs",
        ),
        (
            f"held {GATEWAY}",
            ["CapBnd:0000000000000000", "NoNewPrivs:1", "Seccomp:0"],
            f"{GATEWAY}: Seccomp (/proc)",
            "differs",
        ),
        (f"held {BALANCER}", [], f"{BALANCER}: NoNewPrivs (/proc)", "missing"),
        (f"watchdog {GATEWAY}", ["30000000"], f"{GATEWAY}: watchdog, µs (/proc)", "differs"),
        (f"watchdog {GATEWAY}", [], f"{GATEWAY}: watchdog, µs (/proc)", "missing"),
        (f"memory {GATEWAY}", ["max"], f"{GATEWAY}: memory (cgroup)", "differs"),
        (f"exposure {GATEWAY}", ["2.1"], f"{GATEWAY}: exposure (systemd-analyze security)", "differs"),
        (f"exposure {BALANCER}", [], f"{BALANCER}: exposure (systemd-analyze security)", "missing"),
        (f"cpus {GATEWAY}", ["0-3"], f"{GATEWAY}: CPUs (taskset)", "differs"),
        (f"engine {GATEWAY}", ["0-3"], f"{GATEWAY}: its engine's CPUs (taskset)", "differs"),
        ("files", ["/etc/veloz/api_key veloz 644"], "/etc/veloz/api_key: owner, mode", "differs"),
        ("listening", ["443", "5432", "80"], "listening on the network besides SSH", "differs"),
    ],
)
def test_what_is_not_is_found(section: str, lines: list[str], what: str, verdict: str) -> None:
    found = {row.what: row.verdict for row in judge(MEMBER, CPUS, good() | {section: lines})}
    assert found[what] == verdict


def test_what_a_containers_systemd_cannot_give_is_unavailable() -> None:
    said = good() | {f"limits {GATEWAY}": ["20000"], "limits": ["20000"]}
    found = {row.what: row.verdict for row in judge(MEMBER, CPUS, said)}
    assert found[f"{GATEWAY}: open files (/proc)"] == "unavailable"


def test_without_cores_of_its_own_there_is_one_engine() -> None:
    found = {row.what: row.verdict for row in judge(MEMBER, Cpus(), good())}
    assert found[f"{GATEWAY}: engines"] == "ok"
    assert f"{GATEWAY}: CPUs (taskset)" not in found
