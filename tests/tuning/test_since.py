"""A second tuning: what somebody set in between is never lowered without a word."""

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tuning.kernels import applied, host, write
from tests.tuning.test_plan import DEMAND, KERNELS
from tuning.choices import Choices
from tuning.machine import Machine
from tuning.plan import Plan, Planned, plan
from tuning.profile import ROLES
from tuning.rules import lowers
from tuning.since import since
from tuning.snapshot import dropped, original, take

THP = "/sys/kernel/mm/transparent_hugepage/enabled"


def tuned(choices: Choices | None = None) -> tuple[Plan, Machine]:
    found = plan(ROLES, host(), DEMAND, choices or Choices())
    return found, applied(found, host())


def after(machine: Machine, key: str, value: str) -> Machine:
    """Somebody has set it."""
    if key in machine.sysfs:
        return msgspec.structs.replace(machine, sysfs=machine.sysfs | {key: value})
    sysctls = dict(machine.sysctls)
    write(sysctls, key, value)
    return msgspec.structs.replace(machine, sysctls=sysctls)


def again(found: Plan, machine: Machine, key: str) -> Planned:
    return next(one for one in since(found, machine) if one.setting.key == key)


@pytest.mark.parametrize(
    ("key", "have", "want", "action", "lower"),
    [
        ("net.core.rmem_max", "67108864", "67108864", "refused_lower", False),
        ("net.core.rmem_max", "212992", "16777216", "set", False),
        ("net.ipv4.tcp_rmem", "4096 131072 67108864", "4096 131072 67108864", "refused_lower", False),
        ("net.ipv4.tcp_rmem", "2048 262144 67108864", "4096 262144 67108864", "set", False),
        ("net.ipv4.tcp_keepalive_time", "30", "30", "keep", False),
        ("net.ipv4.tcp_keepalive_time", "600", "60", "set", True),
        ("net.ipv4.ip_local_port_range", "1024 65535", "1024 65535", "keep", False),
        ("net.ipv4.ip_local_port_range", "1024 60999", "1024 65535", "set", False),
        ("net.ipv4.ip_local_reserved_ports", "7000", "7000,8080-8081,9090", "set", False),
        ("vm.overcommit_memory", "2", "1", "set", True),
        ("vm.dirty_bytes", "1048576", "1048576", "keep", False),
        (THP, "never", "never", "keep", False),
        (THP, "always", "madvise", "set", True),
    ],
)
def test_what_somebody_set_since_stays_where_it_is_as_good_and_is_said_where_it_is_lowered(
    key: str,
    have: str,
    want: str,
    action: str,
    lower: bool,  # noqa: FBT001 - a case
) -> None:
    found, machine = tuned()
    one = again(found, after(machine, key, have), key)
    assert (one.current, one.want, one.action, one.lowers) == (have, want, action, lower)


def test_a_share_of_memory_that_somebody_set_in_place_of_ours_is_lowered_and_that_is_said() -> None:
    found, machine = tuned()
    one = again(found, after(machine, "vm.dirty_ratio", "20"), "vm.dirty_bytes")
    assert (one.current, one.want, one.lowers) == ("0", "536870912", True)


def test_what_is_kept_says_both_values() -> None:
    found, machine = tuned()
    why = again(found, after(machine, "net.core.rmem_max", "67108864"), "net.core.rmem_max").why
    assert why == "somebody set 67108864 since, which stays: it is as good as 16777216"


def test_a_key_that_may_be_lowered_is_and_that_is_said() -> None:
    found, machine = tuned(Choices(may_lower=("net.core.rmem_max",)))
    one = again(found, after(machine, "net.core.rmem_max", "67108864"), "net.core.rmem_max")
    assert (one.want, one.action, one.lowers) == ("16777216", "set", True)


@pytest.mark.parametrize(
    ("key", "first", "second", "lower"),
    [
        ("vm.nr_hugepages", Choices(huge_pages=1024), Choices(huge_pages=512), True),
        ("vm.nr_hugepages", Choices(huge_pages=512), Choices(huge_pages=1024), False),
        ("vm.swappiness", Choices(), Choices(level="base"), False),
    ],
)
def test_a_value_of_ours_follows_the_plan(key: str, first: Choices, second: Choices, lower: bool) -> None:  # noqa: FBT001
    _, machine = tuned(first)
    found = plan(("monitoring",), host(), DEMAND, second)
    one = again(found, machine, key)
    wanted = next(one for one in found.settings if one.setting.key == key)
    assert (one.want, one.action, one.lowers) == (wanted.want, "set", lower)


def test_what_is_kept_is_not_put_back_as_if_it_were_no_more_wanted() -> None:
    found, machine = tuned()
    changed = after(machine, "net.core.rmem_max", "67108864")
    snapshot = take(found, host())
    assert plan(ROLES, original(snapshot, changed), DEMAND, Choices()) == found
    assert dropped(snapshot, found, changed).sysctls == {}


@given(KERNELS)
def test_at_the_first_tuning_it_is_the_plan(machine: Machine) -> None:
    found = plan(ROLES, machine, DEMAND, Choices())
    assert tuple(since(found, machine)) == found.settings


@given(KERNELS, KERNELS, st.sampled_from([(), ("net.core.rmem_max", "net.ipv4.tcp_rmem")]))
def test_whatever_somebody_set_no_value_is_lowered_silently(
    before: Machine, set_since: Machine, may_lower: tuple[str, ...]
) -> None:
    found = plan(ROLES, before, DEMAND, Choices(may_lower=may_lower))
    changed = msgspec.structs.replace(
        applied(found, before), sysctls=applied(found, before).sysctls | set_since.sysctls
    )
    writes = [one for one in since(found, changed) if one.action == "set" and one.setting.kind == "sysctl"]
    for one in writes:
        have = changed.sysctls.get(one.setting.key, "")
        if one.setting.rule != "as_wide" and lowers(one.want, have):
            assert one.lowers, one
            assert one.setting.rule != "at_least" or one.setting.key in may_lower, one
        if one.setting.rule == "as_wide":
            assert [int(one.want.split()[0]), -int(one.want.split()[1])] <= [
                int(have.split()[0]),
                -int(have.split()[1]),
            ]
    written = msgspec.structs.replace(changed, sysctls=changed.sysctls | {one.setting.key: one.want for one in writes})
    assert all(one.want == one.current for one in since(found, written) if one.action == "set" and one in writes)
