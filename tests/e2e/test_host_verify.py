"""What `make verify` finds on a real host: every value changed, missing, or about to be changed by another file."""

from __future__ import annotations

import os
from pathlib import PurePosixPath

import pytest

from tests.e2e.bare_host import BareHost
from tests.e2e.host_commands import Done, hosts
from tests.e2e.host_values import differences, everything
from tests.e2e.tuned_host import EVERY, OURS, THP, bad, rows, set_keys, verify
from tests.e2e.tuned_host import bare_host as bare_host  # noqa: PLC0414 - fixtures
from tests.e2e.tuned_host import host as host  # noqa: PLC0414
from tests.e2e.tuned_host import machine as machine  # noqa: PLC0414
from tests.e2e.tuned_host import pristine as pristine  # noqa: PLC0414
from tests.e2e.tuned_host import tuned as tuned  # noqa: PLC0414
from tests.e2e.tuned_host import untouched as untouched  # noqa: PLC0414
from tests.faults.scale import Figure
from tuning.profile import ROLES

pytestmark = pytest.mark.timeout(3600)
HOST = "hostverify-e2e"


def other(value: str, rule: str) -> str:
    """Worse by one, of the last of several numbers; what is to be exactly so gets one less where there is less."""
    *rest, last = value.split()
    if not last.isdigit():  # ports
        return "9999"
    more = rule == "at_most" or (rule == "exactly" and int(last) <= 1)
    return " ".join((*rest, str(int(last) + 1 if more else int(last) - 1)))


def rules(host: BareHost) -> dict[str, str]:
    return {row["what"]: row["rule"] for row in hosts(host, "tune", "--dry-run").host["settings"]}


@pytest.mark.usefixtures("tuned")
def test_every_changed_value_is_found(host: BareHost, figure: Figure) -> None:
    found, refused, rule = 0, [], rules(host)
    for key, value in list(set_keys(host).items())[::EVERY]:
        host.ssh(f"sysctl -q -w '{key}={other(value, rule[key])}'", check=False)
        if host.ssh(f"sysctl -n {key}").split() == value.split():
            refused.append(key)
            continue
        done = verify(host)
        host.ssh(f"sysctl -q -w '{key}={value}'")
        assert done.status == 1, key
        assert bad(done) == {key: "differs"}, key
        found += 1
    figure("changed sysctls, each found alone", found)
    figure("sysctls that take no other value", " ".join(refused) or "none")
    assert bad(verify(host)) == {}


@pytest.mark.usefixtures("tuned")
def test_all_changed_at_once_are_found(host: BareHost, figure: Figure) -> None:
    ours, rule = set_keys(host), rules(host)
    for key, value in ours.items():
        host.ssh(f"sysctl -q -w '{key}={other(value, rule[key])}'", check=False)
    now = {key: " ".join(host.ssh(f"sysctl -n {key}").split()) for key in ours}
    done = verify(host)
    changed = {key for key, value in ours.items() if now[key] != value}
    figure("changed sysctls, all found at once", len(changed))
    assert {what for what, verdict in bad(done).items() if verdict == "differs"} == changed
    assert hosts(host, "tune").status == 0
    assert bad(verify(host)) == {}


def test_missing_and_changed_files_are_found(host: BareHost, tuned: Done, figure: Figure) -> None:
    files = [what for what in rows(tuned) if what.startswith("/etc/")]
    assert OURS in files
    for path in files:
        host.ssh(f"mv {path} /root/kept")
        assert bad(verify(host)).get(path) == "missing", path
        host.ssh(f"cp /root/kept {path}; echo '# more' >> {path}")
        assert bad(verify(host)).get(path) == "differs", path
        host.ssh(f"mv /root/kept {path}")
    figure("files, each found missing and changed", len(files))
    assert bad(verify(host)) == {}


@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("/etc/sysctl.d/zz-later.conf", "net.ipv4.tcp_keepalive_time = 7200"),
        ("/run/sysctl.d/99-zz.conf", "net/ipv4/tcp_keepalive_time=7200"),
        ("/etc/sysctl.d/zz-glob.conf", "-net.ipv4.tcp_keepalive_time = 7200"),
    ],
)
def test_a_later_file_shadows_ours(host: BareHost, tuned: Done, path: str, line: str) -> None:
    assert rows(tuned)["net.ipv4.tcp_keepalive_time"] == "ok"
    host.ssh(f"mkdir -p {os.path.dirname(path)}; echo '{line}' > {path}")  # noqa: PTH120 - a path of the host
    try:
        done = verify(host)
    finally:
        host.ssh(f"rm {path}")
    assert bad(done) == {"net.ipv4.tcp_keepalive_time": "shadowed"}
    assert path in done.words


@pytest.mark.usefixtures("tuned")
def test_what_ufw_sets_later_shadows_ours(host: BareHost) -> None:
    """ufw gives the values of a file of its own after systemd-sysctl has given ours."""
    host.ssh("mkdir -p /etc/ufw /etc/default; echo IPT_SYSCTL=/etc/ufw/sysctl.conf > /etc/default/ufw")
    host.ssh("echo 'net/ipv4/tcp_keepalive_time=7200' > /etc/ufw/sysctl.conf; echo ENABLED=yes > /etc/ufw/ufw.conf")
    try:
        done = verify(host)
    finally:
        # Of the folder what openssh-server of Debian 13 has there stays.
        host.ssh(
            "rm /etc/ufw/sysctl.conf /etc/ufw/ufw.conf /etc/default/ufw; rmdir --ignore-fail-on-non-empty /etc/ufw"
        )
    assert bad(done) == {"net.ipv4.tcp_keepalive_time": "shadowed"}
    assert "/etc/ufw/sysctl.conf" in done.words


@pytest.mark.usefixtures("tuned")
@pytest.mark.parametrize(
    ("path", "line", "key"),
    [
        ("/etc/sysctl.d/zz.conf", "vm.dirty_ratio = 20", "vm.dirty_bytes"),
        ("/run/sysctl.d/zz.conf", "vm/dirty_background_ratio=10", "vm.dirty_background_bytes"),
    ],
)
def test_a_later_file_that_sets_the_partner_shadows_ours(host: BareHost, path: str, line: str, key: str) -> None:
    host.ssh(f"mkdir -p {PurePosixPath(path).parent}; echo '{line}' > {path}")
    try:
        done = verify(host)
        assert bad(done) == {key: "shadowed"}
        assert path in done.words
        host.ssh("systemctl restart systemd-sysctl")
        assert bad(verify(host))[key] == "differs", "what was foretold happens"
    finally:
        host.ssh(f"rm {path}")
        hosts(host, "tune")
    assert bad(verify(host)) == {}


@pytest.mark.usefixtures("tuned")
@pytest.mark.parametrize(
    ("path", "line"),
    [
        ("/etc/tmpfiles.d/aa.conf", f"w {THP} - - - - always"),
        ("/run/tmpfiles.d/zz.conf", "w /sys/kernel/mm/transparent_hugepage/enable* - - - - always"),
    ],
)
def test_another_line_of_tmpfiles_shadows_ours(host: BareHost, path: str, line: str) -> None:
    """The first of a path counts, and a pattern that comes later."""
    host.ssh(f"mkdir -p {PurePosixPath(path).parent}; echo '{line}' > {path}")
    try:
        done = verify(host)
        assert bad(done) == {THP: "shadowed"}
        assert path in done.words
        host.ssh("systemd-tmpfiles --create --boot --prefix=/sys/kernel/mm")
        assert bad(verify(host)) == {THP: "differs"}, "what was foretold happens"
    finally:
        host.ssh(f"rm {path}")
        hosts(host, "tune")
    assert bad(verify(host)) == {}


@pytest.mark.usefixtures("tuned")
@pytest.mark.parametrize(
    ("path", "text", "ours"),
    [
        (
            "/run/systemd/journald.conf.d/zz.conf",
            "[Journal]\\nSystemMaxUse=8G\\n",
            "/etc/systemd/journald.conf.d/veloz.conf",
        ),
        ("/etc/security/limits.d/zz.conf", "veloz hard nofile 1024\\n", "/etc/security/limits.d/veloz.conf"),
    ],
)
def test_a_later_drop_in_shadows_ours(host: BareHost, path: str, text: str, ours: str) -> None:
    host.ssh(f"mkdir -p {PurePosixPath(path).parent}; printf '{text}' > {path}")
    try:
        done = verify(host)
    finally:
        host.ssh(f"rm {path}")
    assert bad(done) == {ours: "shadowed"}
    assert path in done.words


def test_verify_knows_what_tune_was_told(host: BareHost, untouched: dict[str, str]) -> None:
    hosts(host, "tune", "--roles", "gateway,engine", "--stack", "compose")
    done = verify(host)
    assert (done.status, bad(done), done.host["roles"]) == (0, {}, ["gateway", "engine"])
    assert "as `make tune` was told" in done.words
    other_roles = hosts(host, "verify", "--only", "tuning", "--roles", "redis,balancer")
    assert other_roles.host["roles"] == ["balancer", "redis"]
    assert other_roles.status == 1
    hosts(host, "untune")
    assert host.ssh("ls -d /var/lib/veloz", check=False) == ""
    assert verify(host).host["roles"] == list(ROLES)
    assert differences(untouched, everything(host)) == {}
