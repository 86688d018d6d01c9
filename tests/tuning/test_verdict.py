"""Every changed, missing or shadowed value is told, and nothing that is as it should be."""

import msgspec
import pytest

from tests.tuning.kernels import host
from tests.tuning.test_plan import DEMAND
from tuning import verdict
from tuning.choices import Choices
from tuning.given import Given
from tuning.machine import JOURNAL_FILE, SYSCTL_FILE
from tuning.plan import plan
from tuning.planned import Action, Planned
from tuning.profile import ROLES, Kind, Rule, Setting

PLAN = plan(ROLES, host(), DEMAND, Choices())
SET = [one for one in PLAN.settings if one.action == "set" and one.setting.kind != "module"]
KEYS = [one.setting.key for one in SET]


def planned(
    want: str, action: Action = "set", rule: Rule = "at_least", kind: Kind = "sysctl", current: str | None = "1"
) -> Planned:
    setting = Setting(kind=kind, key="net.x", value=want, rule=rule, reason="a reason of some length", source="a page")
    return Planned(setting, want, current, action, "why")


def ours(value: str) -> Given:
    return Given("net.x", value, SYSCTL_FILE)


def other(value: str | None) -> Given:
    return Given("net.x", value, "/etc/sysctl.d/zz.conf")


@pytest.mark.parametrize(
    ("plan", "have", "boot", "expected"),
    [
        (planned("4096 87380"), "4096\t87380\n", ours("4096 87380"), "ok"),
        (planned("5"), "4", ours("5"), "differs"),
        (planned("5"), "6", ours("5"), "ok"),  # somebody made it better since
        (planned("5"), "6", other("4"), "shadowed"),
        (planned("5", rule="at_most"), "4", ours("5"), "ok"),
        (planned("5", rule="at_most"), "6", ours("5"), "differs"),
        (planned("5", rule="exactly"), "6", ours("5"), "differs"),
        (planned("5", rule="exactly"), "4", ours("5"), "differs"),
        (planned("4 5"), "3 6", ours("4 5"), "differs"),
        (msgspec.structs.replace(planned("5"), may_lower=True), "6", ours("5"), "differs"),
        (planned("5"), None, ours("5"), "missing"),
        (planned("5"), "5", None, "missing"),
        (planned("5"), "5", other("4"), "shadowed"),
        (planned("5"), "5", other("6"), "ok"),
        (planned("5", rule="exactly"), "5", other("6"), "shadowed"),
        (planned("5"), "5", other("5"), "ok"),
        (planned("5"), "5", other(None), "shadowed"),
        (planned("5", "keep"), "7", None, "ok"),
        (planned("5", "keep"), "4", None, "differs"),
        (planned("5", "keep"), "7", other("2"), "shadowed"),
        (planned("5", "keep"), "7", other("6"), "ok"),
        (planned("5", "keep"), "7", other(None), "ok"),
        (planned("9", "refused_lower"), "9", None, "skipped"),
        (planned("9", "refused_lower"), "8", None, "differs"),
        (planned("9", "refused_lower"), "9", other("8"), "shadowed"),
        (planned("5", "unavailable"), None, None, "unavailable"),
        (planned("5", "unavailable"), "4", other("4"), "unavailable"),
        (planned("10240 65535", "keep", "as_wide"), "1024 65535", None, "ok"),
        (planned("10240 65535", "keep", "as_wide"), "10240 60999", None, "differs"),
        (planned("80,443", "keep", "includes"), "80,443,8080-8081", None, "ok"),
        (planned("80,443", "keep", "includes"), "80", None, "differs"),
    ],
)
def test_a_value(plan: Planned, have: str | None, boot: Given | None, expected: str) -> None:
    assert verdict.value(plan, have, boot).verdict == expected


@pytest.mark.parametrize("one", SET, ids=KEYS)
def test_every_value_as_planned_is_well_and_changed_or_shadowed_is_not(one: Planned) -> None:
    key = one.setting.key
    given = Given(key, one.want, "/etc/ours.conf")
    assert verdict.value(one, one.want, given).verdict == "ok"
    assert verdict.value(one, "7 7 7", given).verdict == "differs"
    worse = "0" if one.setting.rule == "at_least" else str(2**40)
    late = verdict.value(one, one.want, Given(key, worse, "/etc/late.conf"))
    assert (late.verdict, f"/etc/late.conf gives {worse}" in late.why) == ("shadowed", True)


def test_a_value_that_somebody_made_better_says_the_rule() -> None:
    row = verdict.value(planned("5"), "6", ours("5"))
    assert (row.want, row.have, row.why) == (
        "at least 5", "6", "somebody set it since to what is as good; make tune leaves it",
    )  # fmt: skip


def test_a_partner_that_clears_ours_at_boot_is_named() -> None:
    one = next(one for one in SET if one.setting.key == "vm.dirty_bytes")
    row = verdict.value(one, one.want, Given("vm.dirty_ratio", one.want, "/etc/sysctl.d/zz.conf"))
    assert row.verdict == "shadowed"
    assert f"/etc/sysctl.d/zz.conf gives vm.dirty_ratio = {one.want}, which makes this 0" in row.why


def test_a_line_that_stands_in_ours_place_is_named() -> None:
    assert "/etc/sysctl.d/zz.conf names it first" in verdict.value(planned("5"), "5", other(None)).why


def test_a_switch_is_what_holds() -> None:
    plan = planned("madvise", kind="sysfs", rule="exactly")
    boot = Given("net.x", "madvise", "/etc/tmpfiles.d/veloz.conf")
    assert verdict.value(plan, "always [madvise] never\n", boot).verdict == "ok"
    assert verdict.value(plan, "[always] madvise never\n", boot).verdict == "differs"


@pytest.mark.parametrize(
    ("action", "loaded", "configuration", "at_boot", "expected"),
    [
        ("set", True, "", True, "ok"),
        ("set", False, "", True, "missing"),
        ("keep", True, "blacklist net.x", True, "shadowed"),
        ("keep", True, "blacklist net.x", False, "ok"),  # of a container the machine loads them
        ("unavailable", False, "", False, "unavailable"),
        ("unavailable", True, "", False, "ok"),
    ],
)
def test_a_module(action: Action, loaded: bool, configuration: str, at_boot: bool, expected: str) -> None:  # noqa: FBT001
    row = verdict.module(planned("", action, kind="module"), configuration, loaded=loaded, at_boot=at_boot)
    assert row.verdict == expected


def test_a_file() -> None:
    assert verdict.file("/etc/x", "a\n", "a\n", "").verdict == "ok"
    assert verdict.file("/etc/x", "a\n", None, "").verdict == "missing"
    changed = verdict.file("/etc/x", "a\n", "a\nb\n", "")
    assert (changed.verdict, "'b'" in changed.why) == ("differs", True)


def test_a_file_that_another_overrules() -> None:
    text = PLAN.files[JOURNAL_FILE]
    late = f"# {JOURNAL_FILE}\n{text}\n# /run/systemd/journald.conf.d/zz.conf\n[Journal]\nSystemMaxUse=8G\n"
    row = verdict.file(JOURNAL_FILE, text, text, late)
    assert (row.verdict, "/run/systemd/journald.conf.d/zz.conf gives" in row.why) == ("shadowed", True)
