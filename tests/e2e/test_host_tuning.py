"""Tuning of a real host: applied, applied again, verified, undone, killed in the middle, booted again."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import PurePosixPath

import pytest

from tests.e2e.bare_host import BareHost, Making
from tests.e2e.bare_host import bare_host as bare_host  # noqa: PLC0414 - a fixture
from tests.e2e.host_commands import Done, hosts, killed
from tests.e2e.host_values import differences, everything, machine_put_back
from tests.faults.scale import Figure
from tuning.pairs import PARTNERS
from tuning.profile import ROLES

pytestmark = pytest.mark.timeout(3600)
OURS = "/etc/sysctl.d/99-veloz.conf"
THP = "/sys/kernel/mm/transparent_hugepage/enabled"
# Of the kills, failures and changes: each, or every so many on a machine that is busy or small.
EVERY = int(os.environ.get("VELOZ_E2E_EVERY", "1"))
GOOD = {"ok", "skipped", "unavailable"}


@pytest.fixture(scope="module", autouse=True)
def machine() -> Iterator[None]:
    if os.environ.get("VELOZ_E2E") != "1":
        yield
        return
    with machine_put_back():
        yield


@pytest.fixture(scope="module")
def host(bare_host: Making) -> BareHost:
    """/sys is writable on it, until it boots again."""
    made = bare_host("hosttune-e2e")
    made.ssh("mount -o remount,rw /sys")
    return made


@pytest.fixture(scope="module")
def pristine(host: BareHost) -> dict[str, str]:
    """As the host is before anything of ours was there."""
    return everything(host)


@pytest.fixture
def untouched(host: BareHost, pristine: dict[str, str]) -> dict[str, str]:
    """The same: whatever the test before did is undone without a trace."""
    hosts(host, "untune")
    assert differences(pristine, everything(host)) == {}
    return pristine


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


def test_a_dry_run_shows_what_would_change_and_changes_nothing(host: BareHost, untouched: dict[str, str]) -> None:
    done = hosts(host, "tune", "--dry-run")
    assert done.status == 0, done.words
    assert "+net.ipv4.tcp_keepalive_time=60" in done.words.replace(" ", "")
    assert differences(untouched, everything(host)) == {}


def test_a_second_run_changes_nothing(host: BareHost, untouched: dict[str, str], figure: Figure) -> None:
    first = hosts(host, "tune")
    assert first.status == 0, first.words
    assert first.host["changed"]
    tuned = everything(host)
    second = hosts(host, "tune")
    figure("operations that changed something, first run", len(first.host["changed"]))
    figure("second run", len(second.host["changed"]))
    assert second.host["changed"] == []
    assert differences(tuned, everything(host)) == {}
    assert differences(untouched, tuned)


def test_undone_is_as_before(host: BareHost, untouched: dict[str, str], figure: Figure) -> None:
    hosts(host, "tune")
    touched = differences(untouched, everything(host))
    done = hosts(host, "untune")
    assert done.status == 0, done.words
    figure("values and files that differed while tuned", len(touched))
    assert differences(untouched, everything(host)) == {}
    again = hosts(host, "untune")
    assert again.status == 0
    assert again.host["changed"] == []


def test_killed_before_every_operation_it_is_undone_exactly(
    host: BareHost, untouched: dict[str, str], figure: Figure
) -> None:
    at = kills = 0
    while killed(host, at):
        done = hosts(host, "untune")
        assert done.status == 0, f"killed at {at}: {done.words}"
        assert differences(untouched, everything(host)) == {}, f"killed at {at}"
        at, kills = at + EVERY, kills + 1
    figure("kills of apply, each undone exactly", f"{kills}, before every {EVERY}. operation")
    assert at > 20


def test_undoing_is_killed_too_and_ends_the_next_time(
    host: BareHost, untouched: dict[str, str], figure: Figure
) -> None:
    at = 0
    hosts(host, "tune")
    while killed(host, at, "undo"):
        done = hosts(host, "untune")
        assert done.status == 0, f"killed at {at}: {done.words}"
        assert differences(untouched, everything(host)) == {}, f"killed at {at}"
        hosts(host, "tune")
        at += 4 * EVERY
    figure("kills of undo, each ended exactly", at // (4 * EVERY))


def test_tuned_again_after_a_kill_the_first_values_count(host: BareHost, untouched: dict[str, str]) -> None:
    for at in (3, 9, 27):
        assert killed(host, at)
        assert hosts(host, "tune").status == 0
        assert hosts(host, "untune").status == 0
        assert differences(untouched, everything(host)) == {}


# In place of `sysctl`: the nth call that writes fails.
FAILING = """#!/bin/sh
case "$*" in *-w*) n=$(cat /run/calls 2>/dev/null || echo 0); echo $((n + 1)) > /run/calls
  [ "$n" = "$(cat /run/fails)" ] && { echo "sysctl: this one fails" >&2; exit 1; };; esac
exec /usr/sbin/sysctl.real "$@"
"""


def test_an_operation_that_fails_is_told_and_what_was_done_is_undone(
    host: BareHost, untouched: dict[str, str], figure: Figure
) -> None:
    host.ssh(
        "mv /usr/sbin/sysctl /usr/sbin/sysctl.real; cat > /usr/sbin/sysctl; chmod 755 /usr/sbin/sysctl", stdin=FAILING
    )
    failed = 0
    try:
        while True:
            host.ssh(f"rm -f /run/calls; echo {failed} > /run/fails")
            done = hosts(host, "tune")
            if done.status == 0:
                break
            assert "sysctl: this one fails" in done.document["error"]
            host.ssh("echo none > /run/fails")
            assert hosts(host, "untune").status == 0
            assert differences(untouched, everything(host)) == {}, f"failed at {failed}"
            failed += EVERY
    finally:
        host.ssh("mv /usr/sbin/sysctl.real /usr/sbin/sysctl")
    figure("runs in which an operation failed, each undone exactly", failed // EVERY)
    assert failed > 10


@pytest.fixture
def tuned(host: BareHost) -> Done:
    hosts(host, "tune")
    done = verify(host)
    assert bad(done) == {}, done.words
    assert done.status == 0
    return done


def other(value: str) -> str:
    """One more, or one less where the kernel has no more; of the last of several numbers."""
    *rest, last = value.split()
    if not last.isdigit():  # ports
        return "9999"
    return " ".join((*rest, str(int(last) - 1 if int(last) > 1 else int(last) + 1)))


@pytest.mark.usefixtures("tuned")
def test_every_changed_value_is_found(host: BareHost, figure: Figure) -> None:
    found, refused = 0, []
    for key, value in list(set_keys(host).items())[::EVERY]:
        host.ssh(f"sysctl -q -w '{key}={other(value)}'", check=False)
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
    ours = set_keys(host)
    for key, value in ours.items():
        host.ssh(f"sysctl -q -w '{key}={other(value)}'", check=False)
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
        host.ssh("rm -r /etc/ufw /etc/default/ufw")
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
    assert host.ssh("ls /var/lib/veloz/host").split() == ["lock"]
    assert verify(host).host["roles"] == list(ROLES)
    assert differences(untouched, everything(host)) == {}


def test_a_value_above_ours_is_kept_and_told(host: BareHost, untouched: dict[str, str]) -> None:
    host.ssh("sysctl -q -w net.core.somaxconn=1000000; sysctl -q -w net.ipv4.tcp_rmem='4096 131072 99999999'")
    try:
        before = everything(host)
        done = hosts(host, "tune")
        assert done.status == 0
        assert host.ssh("sysctl -n net.core.somaxconn").strip() == "1000000"
        assert host.ssh("sysctl -n net.ipv4.tcp_rmem").split()[2] == "99999999"
        told = {row["what"]: row["action"] for row in done.host["settings"]}
        assert told["net.core.somaxconn"] in {"keep", "refused_lower"}
        assert bad(verify(host)) == {}
        hosts(host, "untune")
        assert differences(before, everything(host)) == {}
    finally:
        for key in ("net.core.somaxconn", "net.ipv4.tcp_rmem"):
            host.ssh(f"sysctl -q -w '{key}={untouched[key]}'")


def lowered(old: str, new: str) -> bool:
    pairs = zip(old.split(), new.split(), strict=False)
    return any(int(b) < int(a) for a, b in pairs if a.isdigit() and b.isdigit())


def test_no_value_is_lowered_silently(host: BareHost, untouched: dict[str, str], figure: Figure) -> None:
    done = hosts(host, "tune")
    declared = {row["what"]: row for row in done.host["settings"]}
    touched = differences(untouched, everything(host))
    lower = {key for key, (old, new) in touched.items() if old and new and lowered(old, new)}
    told = {PARTNERS.get(key, key) if key not in declared else key: key for key in lower}
    silent = {key for key in told if key not in declared or declared[key]["rule"] == "at_least"}
    figure("values lowered, each by a rule that says so", " ".join(sorted(lower)) or "none")
    assert silent == set()


@pytest.mark.usefixtures("tuned")
def test_after_a_reboot_everything_is_back(host: BareHost, figure: Figure) -> None:
    """Last: /sys of this host is read-only from then on."""
    before = set_keys(host)
    host.reboot()
    again = verify(host)
    figure("rows after the reboot", len(rows(again)))
    assert bad(again) == {}, again.words
    assert again.status == 0
    assert {key: " ".join(host.ssh(f"sysctl -n {key}").split()) for key in before} == before
    hosts(host, "untune")
