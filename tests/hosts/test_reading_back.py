"""What the suite asks a host, and that what it hears becomes the row that it should; the host's answers are as of Debian 12."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any, TypeAlias

import msgspec
import pytest

from hosts.verification import test_values as suite
from hosts.verification.subject import PLACE, PLAN
from tests.tuning.kernels import host as kernel
from tuning.choices import Choices
from tuning.demand import Demand
from tuning.machine import CHRONY_FILE, JOURNAL_FILE, LIMITS_FILE, SYSCTL_FILE, TMPFILES_FILE
from tuning.plan import plan
from tuning.profile import ROLES
from tuning.verdict import Row

DONE = plan(ROLES, kernel(), Demand(), Choices())
PLANNED = {one.setting.key: one for one in DONE.settings}
# testinfra's, or what stands in for it.
Host: TypeAlias = Any
THP = "/sys/kernel/mm/transparent_hugepage/enabled"


class Answering:
    """A host of testinfra's that answers commands by a part of them; others it does not know."""

    def __init__(self, **_nothing: object) -> None:
        self.answers: dict[str, str] = {
            "cat-config sysctl.d": f"# {SYSCTL_FILE}\n{DONE.files[SYSCTL_FILE]}\n",
            "cat-config tmpfiles.d": f"# {TMPFILES_FILE}\n{DONE.files[TMPFILES_FILE]}\n",
            "lsmod": "",
        }

    def run(self, command: str, *arguments: str) -> Host:
        whole = command % arguments if arguments else command
        found = next((text for part, text in self.answers.items() if part in whole), None)
        return SimpleNamespace(rc=1 if found is None else 0, stdout=found or "")


@pytest.fixture
def host() -> Host:
    return Answering()


@pytest.fixture
def rows() -> list[Row]:
    return []


def judged_sysctl(host: Host, rows: list[Row], key: str) -> Row:
    host.answers[f"sysctl -n {key}"] = f"{PLANNED[key].want}\n"
    suite.test_sysctl(host, PLANNED[key], rows.append, {})
    return rows[-1]


def test_a_later_file_that_sets_the_partner_shadows_ours(host: Host, rows: list[Row]) -> None:
    assert judged_sysctl(host, rows, "vm.dirty_bytes").verdict == "ok"
    host.answers["cat-config sysctl.d"] += "# /etc/sysctl.d/zz.conf\nvm.dirty_ratio = 20\n"
    row = judged_sysctl(host, rows, "vm.dirty_bytes")
    assert (row.verdict, "/etc/sysctl.d/zz.conf gives vm.dirty_ratio" in row.why) == ("shadowed", True)


def test_what_ufw_sets_after_systemd_shadows_ours(host: Host, rows: list[Row]) -> None:
    host.answers |= {
        "cat /etc/ufw/ufw.conf": "ENABLED=yes\n", "cat /etc/default/ufw": "IPT_SYSCTL=/etc/ufw/sysctl.conf\n",
        "cat /etc/ufw/sysctl.conf": "net/ipv4/tcp_keepalive_time=7200\n",
    }  # fmt: skip
    assert judged_sysctl(host, rows, "net.ipv4.tcp_keepalive_time").verdict == "shadowed"


def test_an_earlier_line_of_tmpfiles_shadows_ours(host: Host, rows: list[Row]) -> None:
    host.answers[f"cat {THP}"] = "always [madvise] never\n"
    suite.test_sysfs(host, PLANNED[THP], rows.append, {})
    earlier = f"# /etc/tmpfiles.d/aa.conf\nw {THP} - - - - always\n"
    host.answers["cat-config tmpfiles.d"] = earlier + host.answers["cat-config tmpfiles.d"]
    suite.test_sysfs(host, PLANNED[THP], rows.append, {})
    assert [row.verdict for row in rows] == ["ok", "shadowed"]
    assert "/etc/tmpfiles.d/aa.conf gives always" in rows[-1].why


@pytest.mark.parametrize(
    ("path", "command", "heading", "later"),
    [
        (JOURNAL_FILE, "cat-config systemd/journald.conf", f"# {JOURNAL_FILE}\n", "[Journal]\nSystemMaxUse=8G\n"),
        (CHRONY_FILE, "chronyd -p", "", "logchange 0.5\n"),
        (LIMITS_FILE, "/etc/security/limits.d/*.conf", f"# {LIMITS_FILE}\n", "veloz hard nofile 1024\n"),
    ],
)
def test_what_a_files_reader_reads_later_shadows_ours(
    host: Host,
    rows: list[Row],
    path: str,
    command: str,
    heading: str,
    later: str,
) -> None:
    host.answers |= {f"cat {path}": DONE.files[path], command: heading + DONE.files[path]}
    suite.test_file(host, (path, DONE.files[path]), rows.append)
    host.answers[command] += f"# /etc/zz.conf\n{later}" if heading else later
    suite.test_file(host, (path, DONE.files[path]), rows.append)
    assert [row.verdict for row in rows] == ["ok", "shadowed"]


def test_a_module_that_modprobe_may_not_load_is_shadowed(
    host: Host,
    rows: list[Row],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    (tmp_path / PLAN).write_bytes(msgspec.json.encode(DONE))
    monkeypatch.setenv(PLACE, str(tmp_path))
    suite.test_module(host, PLANNED["nf_conntrack"], rows.append)
    host.answers["modprobe --showconfig"] = "blacklist nf_conntrack\n"
    suite.test_module(host, PLANNED["nf_conntrack"], rows.append)
    assert [row.verdict for row in rows] == ["ok", "shadowed"]


def test_the_clock_is_asked_of_chrony_then_of_systemd_then_of_the_kernel(host: Host, rows: list[Row]) -> None:
    suite.test_clock(host, rows.append)
    host.answers["detect-virt"] = "docker\n"
    suite.test_clock(host, rows.append)
    host.answers |= {"detect-virt": "none\n", "NTPSynchronized": "yes\n"}
    suite.test_clock(host, rows.append)
    host.answers["timesync-status"] = "       Server: 192.0.2.1 (ntp)\n      Stratum: 2\n       Offset: -20ms\n"
    suite.test_clock(host, rows.append)
    host.answers["chronyc -c tracking"] = "C0000201,ntp,3,1.0,-0.000100,0,0,0,0,0,0.002,0.001,64.0,Normal\n"
    suite.test_clock(host, rows.append)
    assert [row.verdict for row in rows] == ["missing", "unavailable", "unavailable", "differs", "ok"]
