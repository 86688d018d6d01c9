"""Tuning of a real host: applied, applied again, undone, killed in the middle, booted again."""

from __future__ import annotations

import pytest

from tests.e2e.bare_host import BareHost
from tests.e2e.host_commands import hosts, killed
from tests.e2e.host_values import differences, everything
from tests.e2e.tuned_host import EVERY, bad, rows, set_keys, verify
from tests.e2e.tuned_host import bare_host as bare_host  # noqa: PLC0414 - fixtures
from tests.e2e.tuned_host import host as host  # noqa: PLC0414
from tests.e2e.tuned_host import machine as machine  # noqa: PLC0414
from tests.e2e.tuned_host import pristine as pristine  # noqa: PLC0414
from tests.e2e.tuned_host import tuned as tuned  # noqa: PLC0414
from tests.e2e.tuned_host import untouched as untouched  # noqa: PLC0414
from tests.faults.scale import Figure
from tuning.pairs import PARTNERS

pytestmark = pytest.mark.timeout(3600)
HOST = "hosttune-e2e"


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
    for at in (3, 9, 21):
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


def test_what_somebody_set_since_is_kept_or_said_to_be_lowered(host: BareHost, untouched: dict[str, str]) -> None:
    hosts(host, "tune")
    low, middle, _ = host.ssh("sysctl -n net.ipv4.tcp_wmem").split()
    host.ssh(f"sysctl -q -w net.ipv4.tcp_wmem='{low} {middle} 99999999' net.ipv4.tcp_keepalive_time=600")
    done = hosts(host, "tune")
    assert done.status == 0, done.words
    assert [(one["what"], one["from"], one["to"]) for one in done.host["lowered"]] == [
        ("net.ipv4.tcp_keepalive_time", "600", "60")
    ]
    assert "net.ipv4.tcp_keepalive_time: lowered from 600 to 60" in done.words
    assert host.ssh("sysctl -n net.ipv4.tcp_wmem").split()[2] == "99999999"
    assert bad(verify(host)) == {}
    assert hosts(host, "tune").host["changed"] == []
    hosts(host, "untune")
    assert differences(untouched, everything(host)) == {}


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
