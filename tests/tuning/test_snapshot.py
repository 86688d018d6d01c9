from functools import reduce

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tuning.kernels import applied, host, same, undone
from tests.tuning.test_plan import DEMAND, KERNELS
from tuning.choices import Choices
from tuning.machine import Machine
from tuning.plan import plan
from tuning.profile import ROLES
from tuning.snapshot import Snapshot, Undo, decode, dropped, encode, merge, original, take, undo

_TEXTS = st.dictionaries(st.sampled_from("abc"), st.sampled_from("xyz"))
SNAPSHOTS = st.builds(
    Snapshot,
    _TEXTS,
    _TEXTS,
    st.lists(st.sampled_from("mn"), unique=True).map(tuple),
    st.dictionaries(st.sampled_from("abc"), st.none() | st.sampled_from("xyz")),
)
# How a kernel may limit what is not written yet: by a share of memory, or by bytes.
LIMITS = st.sampled_from(
    [
        {},
        {"vm.dirty_bytes": "1073741824", "vm.dirty_ratio": "0"},
        {"vm.dirty_background_bytes": "268435456", "vm.dirty_background_ratio": "0"},
        {"vm.dirty_bytes": "0", "vm.dirty_ratio": "0"},
        {"vm.overcommit_kbytes": "1000000", "vm.overcommit_ratio": "0"},
    ]
)


@given(KERNELS, LIMITS, st.integers(0, 80))
def test_undo_restores_any_machine_from_wherever_it_was_killed(
    machine: Machine, limits: dict[str, str], steps: int
) -> None:
    before = msgspec.structs.replace(machine, sysctls=machine.sysctls | limits)
    found = plan(ROLES, before, DEMAND, Choices())
    snapshot = take(found, before)
    killed = applied(found, before, steps)
    after = undone(undo(snapshot, killed), killed)
    assert same(after, before)
    assert undo(snapshot, after) == Undo({}, {}, (), {})


@given(KERNELS, LIMITS, st.integers(0, 80))
def test_undo_restores_what_was_before_a_killed_run_and_a_second_one(
    machine: Machine, limits: dict[str, str], steps: int
) -> None:
    before = msgspec.structs.replace(machine, sysctls=machine.sysctls | limits)
    first = plan(ROLES, before, DEMAND, Choices())
    snapshot = take(first, before)
    killed = applied(first, before, steps)
    second = plan(ROLES, original(snapshot, killed), DEMAND, Choices())
    both = merge(snapshot, take(second, killed))
    tuned = applied(second, killed)
    assert same(undone(undo(both, tuned), tuned), before)


@given(KERNELS, LIMITS)
def test_a_snapshot_gives_back_the_machine_that_was_never_tuned(machine: Machine, limits: dict[str, str]) -> None:
    before = msgspec.structs.replace(machine, sysctls=machine.sysctls | limits)
    found = plan(ROLES, before, DEMAND, Choices())
    assert same(original(take(found, before), applied(found, before)), before)


@given(SNAPSHOTS, SNAPSHOTS, SNAPSHOTS)
def test_merging_is_associative_and_the_older_wins(a: Snapshot, b: Snapshot, c: Snapshot) -> None:
    assert merge(merge(a, b), c) == merge(a, merge(b, c)) == reduce(merge, (a, b, c))
    assert a.sysctls.items() <= merge(a, b).sysctls.items()
    assert a.files.items() <= merge(a, b).files.items()
    assert merge(a, a) == a


@given(SNAPSHOTS)
def test_a_snapshot_goes_through_its_text(snapshot: Snapshot) -> None:
    assert decode(encode(snapshot)) == snapshot


@pytest.mark.parametrize(
    "text", ["", "{}", '{"sysctls": {}', '{"sysctls":{},"sysfs":{},"modules":[],"files":{},"more":1}']
)
def test_a_damaged_snapshot_is_refused(text: str) -> None:
    with pytest.raises(msgspec.MsgspecError):
        decode(text)


def test_of_a_pair_only_the_one_that_held_is_written_back() -> None:
    before = host()
    found = plan(ROLES, before, DEMAND, Choices())
    back = undo(take(found, before), applied(found, before)).sysctls
    assert back["vm.dirty_ratio"] == "20"
    assert "vm.dirty_bytes" not in back


def test_a_lower_level_gives_back_what_it_does_not_want() -> None:
    before = host()
    high = plan(ROLES, before, DEMAND, Choices())
    snapshot, tuned = take(high, before), applied(high, before)
    low = plan(ROLES, original(snapshot, tuned), DEMAND, Choices(level="base"))
    there = applied(low, undone(dropped(snapshot, low, tuned), tuned))
    assert same(there, applied(low, before))
    assert same(undone(undo(snapshot, there), there), before)


def test_a_key_that_is_gone_is_not_written() -> None:
    snapshot = Snapshot({"vm.gone": "1"}, {"/sys/gone": "1"}, ("gone",), {"/gone": None})
    assert undo(snapshot, host()) == Undo({}, {}, (), {})


def test_a_file_that_was_there_is_given_back_and_one_that_was_not_is_removed() -> None:
    files: dict[str, str | None] = {"/a": "ours", "/b": "ours"}
    now = msgspec.structs.replace(host(), files=files)
    assert undo(Snapshot({}, {}, (), {"/a": "theirs", "/b": None}), now).files == {"/a": "theirs", "/b": None}
