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
from tuning.snapshot import Packages, Snapshot, Undo, decode, dropped, encode, merge, of_boot, original, take, undo

_TEXTS = st.dictionaries(st.sampled_from("abc"), st.sampled_from("xyz"))
SNAPSHOTS = st.builds(
    Snapshot,
    _TEXTS,
    _TEXTS,
    st.lists(st.sampled_from("mn"), unique=True).map(tuple),
    st.dictionaries(st.sampled_from("abc"), st.none() | st.sampled_from("xyz")),
    st.lists(st.sampled_from(["/a/b/c", "/a/b", "/a"]), unique=True).map(
        lambda made: tuple(sorted(made, reverse=True))
    ),
    st.none()
    | st.builds(
        Packages,
        st.lists(st.sampled_from("pq"), unique=True).map(tuple),
        _TEXTS,
        st.lists(st.sampled_from("ab"), unique=True).map(tuple),
        st.sampled_from([(), ("systemd-timesyncd",)]),
    ),
    st.sampled_from(["", "one boot", "another"]),
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


def test_what_a_module_brought_along_goes_after_it_but_for_what_was_there() -> None:
    before = msgspec.structs.replace(host(), modules=frozenset({"libcrc32c"}))
    found = plan(ROLES, before, DEMAND, Choices())
    snapshot, tuned = take(found, before), applied(found, before)
    assert snapshot.modules == ("nf_conntrack", "nf_defrag_ipv4", "nf_defrag_ipv6")
    assert undo(snapshot, tuned).modules == snapshot.modules
    assert dropped(snapshot, found, tuned) == Undo({}, {}, (), {})


def test_folders_that_were_made_are_remembered_the_deepest_first() -> None:
    found = plan(ROLES, host(), DEMAND, Choices())
    snapshot = take(found, host(), None, ("/var/lib/veloz/host/snapshot.json",))
    assert "/etc/systemd/journald.conf.d" in snapshot.folders
    assert not {"/etc/systemd", "/etc"} & set(snapshot.folders)
    state = [folder for folder in snapshot.folders if folder.startswith("/var")]
    assert state == ["/var/lib/veloz/host", "/var/lib/veloz", "/var/lib", "/var"]
    assert undo(snapshot, applied(found, host())).folders[0].count("/") == 4


def test_a_file_that_was_being_written_when_the_machine_went_down_goes() -> None:
    left = "/etc/sysctl.d/.99-veloz.conf.veloz-new"
    now = msgspec.structs.replace(host(), there=frozenset({left}))
    assert undo(Snapshot({}, {}, (), {"/etc/sysctl.d/99-veloz.conf": None}), now).unfinished == (left,)


def test_a_snapshot_of_an_older_version_is_understood() -> None:
    text = '{"sysctls": {"vm.swappiness": "60"}, "sysfs": {}, "modules": ["nf_conntrack"], "files": {"/a": null}}'
    old = decode(text)
    assert (old.folders, old.packages, old.boot) == ((), None, "")
    assert merge(old, take(plan(ROLES, host(), DEMAND, Choices()), host())).sysctls["vm.swappiness"] == "60"
    assert undo(old, host({"vm.swappiness": "1"})).sysctls == {"vm.swappiness": "60"}


def boot(name: str) -> dict[str, str]:
    return {"kernel.random.boot_id": name}


def test_an_interrupts_number_counts_in_its_own_boot_alone() -> None:
    before = host(boot("one"))
    found = plan(ROLES, before, DEMAND, Choices())
    snapshot, tuned = take(found, before), applied(found, before)
    irq = "/proc/irq/30/smp_affinity_list"
    assert undo(of_boot(snapshot, tuned), tuned).sysfs[irq] == "0-7"
    booted = msgspec.structs.replace(tuned, sysctls=tuned.sysctls | boot("two"))
    back = undo(of_boot(snapshot, booted), booted).sysfs
    assert irq not in back
    assert back["/proc/irq/default_smp_affinity"] == "ff"
    assert of_boot(msgspec.structs.replace(snapshot, boot=""), booted).sysfs == snapshot.sysfs


def test_after_a_boot_in_which_the_unit_moved_them_nothing_is_new() -> None:
    before = host(boot("one"))
    found = plan(ROLES, before, DEMAND, Choices())
    tuned = applied(found, before)
    booted = msgspec.structs.replace(tuned, sysctls=tuned.sysctls | boot("two"))
    snapshot = of_boot(take(found, before), booted)
    again = plan(ROLES, original(snapshot, booted), DEMAND, Choices())
    assert again.files == found.files
    assert merge(snapshot, take(again, booted)) == snapshot


def test_the_clocks_keeper_is_the_one_of_then() -> None:
    before = host()
    memory = Packages(("chrony",), {"systemd-timesyncd": "252"}, (), ("systemd-timesyncd",))
    found = plan(ROLES, before, DEMAND, Choices())
    now = msgspec.structs.replace(before, clocks=frozenset({"chrony"}))
    assert original(take(found, before, memory), now).clocks == {"systemd-timesyncd"}
    assert plan(ROLES, original(take(found, before, memory), now), DEMAND, Choices()) == found


def test_a_key_that_is_gone_is_not_written() -> None:
    snapshot = Snapshot({"vm.gone": "1"}, {"/sys/gone": "1"}, ("gone",), {"/gone": None})
    assert undo(snapshot, host()) == Undo({}, {}, (), {})


def test_a_file_that_was_there_is_given_back_and_one_that_was_not_is_removed() -> None:
    files: dict[str, str | None] = {"/a": "ours", "/b": "ours"}
    now = msgspec.structs.replace(host(), files=files)
    assert undo(Snapshot({}, {}, (), {"/a": "theirs", "/b": None}), now).files == {"/a": "theirs", "/b": None}
