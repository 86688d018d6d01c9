"""What a host says of a native install, read from the lines that its commands print."""

from __future__ import annotations

import os
import subprocess
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from hosts import places
from hosts.native_facts import (
    Certificate,
    CertificateState,
    Older,
    Postgres,
    PostgresState,
    Releases,
    RunningGateways,
    Secrets,
    Version,
)
from stacks.commands.certificates import generate


def test_a_cluster_and_what_is_in_it() -> None:
    found = PostgresState().process(["cluster|15/main", "data|/srv/15", "running|on", "checksums|on", "role|on"])
    assert found == Postgres("15/main", "/srv/15", running=True, checksums=True, role=True, database=False)
    assert found.unit == "postgresql@15-main.service"
    assert PostgresState().process([]) == Postgres()


@pytest.mark.parametrize(("version", "checksums"), [("0", False), ("1", True)])
def test_checksums_of_a_cluster_that_is_down_are_its_control_files(
    tmp_path: Path, *, version: str, checksums: bool
) -> None:
    control = tmp_path / "pg_controldata"
    control.write_text(f"#!/bin/sh\necho 'Database cluster state:               shut down'\n"
                       f"echo 'Data page checksum version:           {version}'\n")  # fmt: skip
    lists = tmp_path / "pg_lsclusters"
    lists.write_text(
        "#!/bin/sh\necho '15 other 5433 online postgres /srv/o log'\necho '15 main 5432 down postgres /srv/m log'\n"
    )
    for one in (control, lists):
        one.chmod(0o755)
    command = PostgresState().command().replace("/usr/lib/postgresql/$version/bin", str(tmp_path))
    environ = {"PATH": f"{tmp_path}:/usr/bin:/bin"}
    said = subprocess.run(["sh", "-c", command], check=True, capture_output=True, text=True, env=environ).stdout
    assert PostgresState().process(said.splitlines()) == Postgres("15/main", "/srv/m", checksums=checksums)


@pytest.mark.parametrize(
    ("active", "entered", "older"),
    [
        (0, "Thu 2026-01-01 00:00:00.500000 UTC", True),  # written after it started, in the same second
        (0, "Thu 2026-01-01 00:00:00.900000 UTC", False),
        (3, "Thu 2026-01-01 00:00:00.900000 UTC", True),
        (3, "", True),
    ],
)
def test_a_unit_that_is_down_or_has_not_read_a_file_is_older(
    tmp_path: Path, *, active: int, entered: str, older: bool
) -> None:
    systemctl = tmp_path / "systemctl"
    systemctl.write_text(f"#!/bin/sh\ncase $1 in is-active) exit {active} ;; *) echo '{entered}' ;; esac\n")
    stat = tmp_path / "stat"  # of a host whose locale has a decimal comma
    stat.write_text(
        '#!/bin/sh\nsaid=$(/usr/bin/stat "$@")\n[ "$LC_ALL" = C ] && echo "$said" || echo "$said" | tr . ,\n'
    )
    for program in (systemctl, stat):
        program.chmod(0o755)
    file = tmp_path / "file"
    file.touch()
    os.utime(file, ns=(0, int(datetime(2026, 1, 1, tzinfo=UTC).timestamp()) * 10**9 + 700_000_000))
    command = Older().command("x.service", str(file))
    done = subprocess.run(
        ["sh", "-c", command], check=True, capture_output=True, text=True, env={"PATH": f"{tmp_path}:/usr/bin:/bin"}
    )
    assert Older().process(done.stdout.splitlines()) == older


def test_releases_and_the_one_that_is_current() -> None:
    assert Releases().process(["/opt/veloz/releases/abc", "abc", "abd"]) == {"current": "abc", "there": ["abc", "abd"]}
    assert Releases().process(["-"]) == {"current": "", "there": []}


def test_gateways_that_run_with_what_they_were_started_with() -> None:
    said = [
        "veloz-gateway@1.service RUNS_WITH=12ab 77cd",
        "veloz-gateway@12.service  77cd",
        "other.service RUNS_WITH=1 77cd",
    ]
    assert RunningGateways().process(said) == {1: "12ab 77cd", 12: ""}


def test_addresses_of_a_certificate_are_compared_as_addresses() -> None:
    said = [
        "notAfter=Jan  1 00:00:00 2099 GMT",
        "    DNS:a.example, IP Address:2001:DB8:0:0:0:0:0:7, IP Address:192.0.2.7",
    ]
    assert CertificateState().process(said).names == ("a.example", "2001:db8::7", "192.0.2.7")


@pytest.mark.parametrize(
    ("said", "version"),
    [
        ("nginx version: nginx/1.22.1", (1, 22, 1)),
        ("HAProxy version 2.6.12-1+deb12u4 2026/01/01 - https://haproxy.org/", (2, 6, 12)),
        ("sh: 1: nginx: not found", (1,)[:0]),
    ],
)
def test_a_programs_version(said: str, version: tuple[int, ...]) -> None:
    assert Version().process([said]) == version


def test_a_certificate_says_for_whom_and_how_long() -> None:
    ends = datetime.now(UTC) + timedelta(days=40, hours=1)
    said = [
        f"notAfter={ends:%b %d %H:%M:%S %Y} GMT",
        "X509v3 Subject Alternative Name: ",
        "    DNS:trade.example.com, IP Address:192.0.2.7, DNS:localhost",
    ]
    found = CertificateState().process(said)
    assert found.names == ("trade.example.com", "192.0.2.7", "localhost")
    assert 40 <= found.days < 41
    assert CertificateState().process([]) == Certificate()


MADE = {which: generate("test", ["trade.example.com", "2001:db8::7"]) for which in ("one", "two")}
NAMES = ("trade.example.com", "2001:db8::7")


@pytest.mark.parametrize(
    ("whose", "names", "matches", "signed"),
    [
        ({"ca.crt": "one", "tls.key": "one", "tls.crt": "one"}, NAMES, True, True),
        ({"ca.crt": "two", "tls.key": "one", "tls.crt": "one"}, NAMES, True, False),  # in the order of their writing
        ({"ca.crt": "two", "tls.key": "two", "tls.crt": "one"}, NAMES, False, False),
        ({"ca.crt": "one", "tls.key": "two", "tls.crt": "one"}, NAMES, False, True),
        ({"tls.key": "one", "tls.crt": "one"}, NAMES, True, False),
        ({"ca.crt": "one", "tls.key": "nonsense", "tls.crt": "one"}, NAMES, False, True),
        ({"ca.crt": "one", "tls.key": "one", "tls.crt": "nonsense"}, (), False, False),
        ({"ca.crt": "one", "tls.key": "one"}, (), False, False),
        ({"ca.crt": "one", "tls.crt": "one"}, (), False, False),
    ],
)
def test_a_certificate_its_key_and_its_authority_belong_together(
    tmp_path: Path, whose: dict[str, str], names: tuple[str, ...], *, matches: bool, signed: bool
) -> None:
    texts = {"ca.crt": "authority", "tls.key": "key", "tls.crt": "certificate"}
    for name, which in whose.items():
        (tmp_path / name).write_text(getattr(MADE[which], texts[name]) if which in MADE else which)
    command = CertificateState().command().replace(places.BALANCER, str(tmp_path))
    said = subprocess.run(["sh", "-c", command], check=True, capture_output=True, text=True, timeout=30)
    assert said.stderr == ""
    found = CertificateState().process(said.stdout.splitlines())
    assert (found.names, found.matches, found.signed) == (names, matches, signed)


def test_secrets_are_known_by_owner_mode_and_size() -> None:
    assert Secrets().process(["/etc/veloz/api_key veloz:veloz 400 64"]) == {"/etc/veloz/api_key": "veloz:veloz 400 64"}
