"""What is read of a native install against what the description wants."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

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
NAMES = "    DNS:x.example, IP Address:192.0.2.7, DNS:localhost, IP Address:127.0.0.1"
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
        "certificate": [ends(90), NAMES, "matches", "signed"],
        "listening": ["443", "80"],
    }


def ends(days: int) -> str:
    """As openssl writes it."""
    return f"notAfter={datetime.now(UTC) + timedelta(days=days, hours=1):%b %d %H:%M:%S %Y} GMT"


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


def of_certificate(said: list[str], source: str = "generated") -> dict[str, str]:
    edge = {"address": "0.0.0.0", "hostname": "x.example", "tls": {"source": source}}  # noqa: S104
    member = Member(MEMBER.machine, load({"topology": "compose", "gateways": {"replicas": 1}, "edge": edge}))
    rows = judge(member, CPUS, good() | {"certificate": said})
    start = "/etc/veloz/balancer/tls.crt: "
    return {row.what.removeprefix(start).removesuffix(" (openssl)"): row.verdict for row in rows if start in row.what}


@pytest.mark.parametrize(
    ("said", "bad"),
    [
        ([ends(90), NAMES, "matches", "signed"], set()),
        ([ends(90), NAMES, "signed"], {"key"}),
        ([ends(90), NAMES, "matches"], {"authority"}),
        ([ends(90), NAMES.replace("x.ex", "y.ex"), "matches", "signed"], {"names"}),
        ([ends(29), NAMES, "matches", "signed"], {"days left"}),
        ([ends(-2), NAMES, "matches", "signed"], {"days left"}),
    ],
)
def test_a_certificate_of_ours(said: list[str], bad: set[str]) -> None:
    found = of_certificate(said)
    assert {what for what, verdict in found.items() if verdict == "differs"} == bad
    assert set(found.values()) <= {"ok", "differs"}
    assert set(of_certificate([]).values()) == {"missing"}


@pytest.mark.parametrize(
    ("said", "bad"),
    [
        ([ends(3), "    DNS:*.example", "matches"], set()),
        ([ends(3), "    DNS:*.x.example", "matches"], {"names"}),
        ([ends(3), "    DNS:X.example", "matches"], set()),
        ([ends(-1), "    DNS:x.example"], {"key", "days left"}),
    ],
)
def test_a_provided_certificate_is_for_the_hostname_alone(said: list[str], bad: set[str]) -> None:
    found = of_certificate(said, "provided")
    assert set(found) == {"key", "names", "days left"}
    assert {what for what, verdict in found.items() if verdict != "ok"} == bad


def test_without_tls_there_is_no_row_of_a_certificate() -> None:
    plain = Member(MEMBER.machine, load({"topology": "compose", "edge": {"tls": {"source": "none"}}}))
    assert not any("tls.crt" in row.what for row in judge(plain, CPUS, good()))
