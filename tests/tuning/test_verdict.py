import msgspec
import pytest

from tests.tuning.kernels import applied, host
from tests.tuning.test_plan import DEMAND
from tuning.choices import Choices
from tuning.machine import SYSCTL_FILE, TMPFILES_FILE, UFW_DEFAULTS_FILE, UFW_FILE, UFW_SYSCTL_FILE, Machine
from tuning.plan import plan
from tuning.profile import ROLES
from tuning.verdict import Row, rows

PLAN = plan(ROLES, host(), DEMAND, Choices())
TUNED = applied(PLAN, host())
SET = [one.setting.key for one in PLAN.settings if one.action == "set" and one.setting.kind == "sysctl"]
SWITCHES = [one.setting.key for one in PLAN.settings if one.action == "set" and one.setting.kind == "sysfs"]


def row(machine: Machine, what: str) -> Row:
    return next(one for one in rows(PLAN, machine) if one.what == what)


def test_a_tuned_machine_is_as_planned() -> None:
    assert {one.verdict for one in rows(PLAN, TUNED)} <= {"ok", "skipped"}
    assert len(rows(PLAN, TUNED)) == len(PLAN.settings) + len(PLAN.files)


def test_a_machine_that_is_not_tuned_is_not() -> None:
    found = {one.what: one.verdict for one in rows(PLAN, host())}
    assert {found[key] for key in SET} == {"differs", "missing"}
    assert found[SYSCTL_FILE] == "missing"


@pytest.mark.parametrize("key", SET)
def test_every_changed_value_is_found(key: str) -> None:
    changed = msgspec.structs.replace(TUNED, sysctls=TUNED.sysctls | {key: "7 7 7"})
    assert row(changed, key).verdict == "differs"


@pytest.mark.parametrize("path", SWITCHES)
def test_every_changed_switch_is_found(path: str) -> None:
    changed = msgspec.structs.replace(TUNED, sysfs=TUNED.sysfs | {path: "[other] word"})
    assert row(changed, path).verdict == "differs"


@pytest.mark.parametrize("key", SET)
def test_every_value_that_a_later_file_shadows_is_found(key: str) -> None:
    shadowed = msgspec.structs.replace(TUNED, files=TUNED.files | {"/etc/sysctl.d/99-zz.conf": f"{key} = 7"})
    assert row(shadowed, key).verdict == "shadowed"
    assert "/etc/sysctl.d/99-zz.conf" in row(shadowed, key).why


@pytest.mark.parametrize("key", SET)
def test_every_value_that_ufw_gives_later_is_found(key: str) -> None:
    ufw: dict[str, str | None] = {
        UFW_FILE: "ENABLED=yes",
        UFW_DEFAULTS_FILE: f"IPT_SYSCTL={UFW_SYSCTL_FILE}",
        UFW_SYSCTL_FILE: f"{key.replace('.', '/')}=7",
    }
    assert row(msgspec.structs.replace(TUNED, files=TUNED.files | ufw), key).verdict == "shadowed"


def test_a_later_file_that_says_the_same_does_no_harm() -> None:
    same = msgspec.structs.replace(TUNED, files=TUNED.files | {"/etc/sysctl.d/99-zz.conf": "vm.swappiness = 1"})
    assert row(same, "vm.swappiness").verdict == "ok"


def test_a_value_that_no_file_gives_any_more_is_missing_at_the_next_boot() -> None:
    bare = msgspec.structs.replace(TUNED, files=TUNED.files | {SYSCTL_FILE: ""})
    assert row(bare, "vm.swappiness").verdict == "missing"
    assert row(bare, SYSCTL_FILE).verdict == "differs"


def test_a_kept_value_that_a_file_will_lower_is_shadowed() -> None:
    lowered = msgspec.structs.replace(TUNED, files=TUNED.files | {"/etc/sysctl.d/10.conf": "fs.nr_open = 1024"})
    assert row(TUNED, "fs.nr_open").verdict == "skipped"
    assert row(lowered, "fs.nr_open").verdict == "shadowed"


def test_a_module_that_is_gone_and_a_file_that_was_changed_are_found() -> None:
    gone = msgspec.structs.replace(
        TUNED, modules=frozenset(), files=TUNED.files | {TMPFILES_FILE: "w /sys/x - - - - 1\n"}
    )
    assert row(gone, "nf_conntrack").verdict == "missing"
    assert row(gone, TMPFILES_FILE).verdict == "differs"
