"""Every changed, missing or shadowed value is told, and nothing that is as it should be."""

import pytest

from hosts.verification import boot, judging
from hosts.verification.boot import Given
from tuning.planned import Action, Planned
from tuning.profile import Kind, Rule, Setting

OURS = "/etc/sysctl.d/99-veloz.conf"


def planned(
    want: str, action: Action = "set", rule: Rule = "at_least", kind: Kind = "sysctl", current: str | None = "1"
) -> Planned:
    setting = Setting(kind=kind, key="net.x", value=want, rule=rule, reason="a reason of some length", source="a page")
    return Planned(setting, want, current, action, "why")


@pytest.mark.parametrize(
    ("plan", "have", "given", "verdict"),
    [
        (planned("4096 87380"), "4096\t87380\n", Given(OURS, "net.x", "4096 87380"), "ok"),
        (planned("5"), "4", Given(OURS, "net.x", "5"), "differs"),
        (planned("5"), "6", Given(OURS, "net.x", "5"), "differs"),
        (planned("5"), None, Given(OURS, "net.x", "5"), "missing"),
        (planned("5"), "5", None, "missing"),
        (planned("5"), "5", Given("/etc/sysctl.d/zz.conf", "net.x", "4"), "shadowed"),
        (planned("5", "keep"), "7", None, "ok"),
        (planned("5", "keep"), "4", None, "differs"),
        (planned("5", "keep"), "7", Given("/etc/x.conf", "net.x", "2"), "shadowed"),
        (planned("5", "keep"), "7", Given("/etc/x.conf", "net.x", "6"), "ok"),
        (planned("9", "refused_lower", "at_most", current="9"), "9", None, "skipped"),
        (planned("9", "refused_lower", "exactly", current="12"), "8", None, "differs"),
        (planned("5", "unavailable"), None, None, "unavailable"),
        (planned("10240 65535", "keep", "as_wide"), "1024 65535", None, "ok"),
        (planned("10240 65535", "keep", "as_wide"), "10240 60999", None, "differs"),
        (planned("80,443", "keep", "includes"), "80,443,8080-8081", None, "ok"),
        (planned("80,443", "keep", "includes"), "80", None, "differs"),
        (planned("80,443", "unavailable", "includes"), None, None, "unavailable"),
    ],
)
def test_a_sysctl(plan: Planned, have: str | None, given: Given | None, verdict: str) -> None:
    assert judging.sysctl(plan, have, given).verdict == verdict


def test_a_switch_is_what_holds() -> None:
    plan = planned("madvise", kind="sysfs", rule="exactly")
    assert judging.value(plan, "always [madvise] never\n").verdict == "ok"
    assert judging.value(plan, "[always] madvise never\n").verdict == "differs"


def test_modules_and_files() -> None:
    plan = planned("", kind="module")
    assert judging.module(plan, loaded=True).verdict == "ok"
    assert judging.module(plan, loaded=False).verdict == "missing"
    assert judging.file("/etc/x", "a\n", "a\n").verdict == "ok"
    assert judging.file("/etc/x", "a\n", None).verdict == "missing"
    changed = judging.file("/etc/x", "a\n", "a\nb\n")
    assert (changed.verdict, "'b'" in changed.why) == ("differs", True)


BOOT = """# /usr/lib/sysctl.d/50-default.conf
# a comment
net.a = 1
-net.ipv4.conf.*.rp_filter = 2
-net.ipv4.conf.all.rp_filter

# /etc/sysctl.d/99-veloz.conf
net.a=2
net/ipv4/conf/eth0.100/forwarding = 1
; another comment
# /etc/sysctl.d/zz.conf
net.b = 3 4
"""


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("net.a", Given("/etc/sysctl.d/99-veloz.conf", "net.a", "2")),
        ("net.b", Given("/etc/sysctl.d/zz.conf", "net.b", "3 4")),
        ("net.c", None),
        ("net.ipv4.conf.lo.rp_filter", Given("/usr/lib/sysctl.d/50-default.conf", "net.ipv4.conf.*.rp_filter", "2")),
        ("net.ipv4.conf.all.rp_filter", None),
        (
            "net.ipv4.conf.eth0/100.forwarding",
            Given("/etc/sysctl.d/99-veloz.conf", "net.ipv4.conf.eth0/100.forwarding", "1"),
        ),
    ],
)
def test_the_last_file_wins_at_boot(key: str, expected: Given | None) -> None:
    assert boot.winner(key, boot.of_systemd(BOOT)) == expected


@pytest.mark.parametrize(
    ("enabled", "defaults", "expected"),
    [
        ("ENABLED=yes", "# x\nIPT_SYSCTL=/etc/ufw/sysctl.conf", "/etc/ufw/sysctl.conf"),
        ("ENABLED=no", "IPT_SYSCTL=/etc/ufw/sysctl.conf", ""),
        ("ENABLED=yes", "#IPT_SYSCTL=/etc/ufw/sysctl.conf", ""),
        ("", "", ""),
    ],
)
def test_ufw_gives_values_only_when_it_is_on_and_told_to(enabled: str, defaults: str, expected: str) -> None:
    assert boot.ufw_file(enabled, defaults) == expected
