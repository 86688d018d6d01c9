import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.tuning.kernels import DEBIAN, applied, host
from tuning.choices import Choices
from tuning.demand import Demand
from tuning.machine import SYSCTL_FILE, Machine
from tuning.plan import Plan, Planned, TuningError, plan
from tuning.profile import ROLES, Role
from tuning.rules import ports, satisfied
from tuning.snapshot import original, take

DEMAND = Demand(gateways=2, ports=(8080, 8081, 9090), shared_buffers_mib=1024, backlog=8192)
_NUMBERS = st.integers(0, 2**40)


def planned(machine: Machine, key: str, choices: Choices | None = None, demand: Demand = DEMAND) -> Planned:
    found = plan(ROLES, machine, demand, choices or Choices())
    return next(one for one in found.settings if one.setting.key == key)


@pytest.mark.parametrize(
    ("key", "current", "want", "action"),
    [
        ("net.core.rmem_max", "212992", "16777216", "set"),
        ("net.core.rmem_max", "16777216", "16777216", "keep"),
        ("net.core.rmem_max", "33554432", "33554432", "refused_lower"),
        ("net.ipv4.tcp_rmem", "4096 131072 6291456", "4096 131072 16777216", "set"),
        ("net.ipv4.tcp_rmem", "4096 131072 33554432", "4096 131072 33554432", "refused_lower"),
        ("net.ipv4.tcp_keepalive_time", "7200", "60", "set"),
        ("net.ipv4.tcp_keepalive_time", "30", "30", "keep"),
        ("net.ipv4.ip_local_port_range", "32768 60999", "10240 65535", "set"),
        ("net.ipv4.ip_local_port_range", "1024 65535", "1024 65535", "keep"),
        ("net.ipv4.ip_local_port_range", "9000 61000", "9000 65535", "set"),
        ("net.ipv4.ip_local_reserved_ports", "", "8080-8081,9090", "set"),
        ("net.ipv4.ip_local_reserved_ports", "7000", "7000,8080-8081,9090", "set"),
        ("net.ipv4.ip_local_reserved_ports", "8000-9100", "8000-9100", "keep"),
        ("vm.overcommit_memory", "0", "1", "set"),
        ("vm.dirty_bytes", "0", "536870912", "set"),
        ("vm.dirty_bytes", "1048576", "1048576", "keep"),
        ("vm.nr_hugepages", "0", "550", "set"),
        ("vm.nr_hugepages", "1024", "1024", "refused_lower"),
        ("net.core.somaxconn", "4096", "8192", "set"),
    ],
)
def test_a_value_is_raised_and_never_taken_away(key: str, current: str, want: str, action: str) -> None:
    found = planned(host({key: current}), key)
    assert (found.want, found.current, found.action) == (want, current, action)


def test_what_is_lowered_says_from_where() -> None:
    assert planned(host(), "net.ipv4.tcp_keepalive_time").why.startswith("from 7200 to 60, lowered")


@pytest.mark.parametrize(
    ("key", "current", "lowers"),
    [
        ("net.ipv4.tcp_keepalive_time", "7200", True),
        ("net.ipv4.tcp_keepalive_time", "30", False),  # kept
        ("kernel.sched_autogroup_enabled", "1", True),
        ("vm.overcommit_memory", "0", False),
        ("vm.dirty_bytes", "0", True),  # a share of memory before
        ("net.ipv4.ip_local_port_range", "32768 60999", False),  # wider
        ("net.core.rmem_max", "212992", False),
        ("net.core.rmem_max", "33554432", False),  # refused
    ],
)
def test_what_is_lowered_is_known_whatever_its_rule(key: str, current: str, lowers: bool) -> None:  # noqa: FBT001 - a case
    assert planned(host({key: current}), key).lowers == lowers


def test_what_is_lowered_because_it_may_be_is_known_and_so_is_a_switch() -> None:
    may = Choices(may_lower=("net.core.rmem_max",))
    assert planned(host({"net.core.rmem_max": "33554432"}), "net.core.rmem_max", may).lowers
    assert planned(host(), "/sys/kernel/mm/transparent_hugepage/enabled").lowers
    assert not planned(host(), "nf_conntrack").lowers


def test_a_value_that_would_lower_the_kernels_is_reported_with_both() -> None:
    why = planned(host({"net.core.rmem_max": "33554432"}), "net.core.rmem_max").why
    assert "33554432" in why
    assert "16777216" in why


def test_a_key_that_may_be_lowered_is() -> None:
    found = planned(
        host({"net.core.rmem_max": "33554432"}), "net.core.rmem_max", Choices(may_lower=("net.core.rmem_max",))
    )
    assert (found.want, found.action) == ("16777216", "set")


def test_a_small_share_of_memory_stays_where_it_is_less_than_our_bytes() -> None:
    small = msgspec.structs.replace(host({"vm.dirty_ratio": "20"}), memory_kib=1 << 20)
    assert planned(small, "vm.dirty_bytes", demand=Demand()).action == "keep"


def test_fast_open_is_left_alone_unless_asked_for() -> None:
    keys = [one.setting.key for one in plan(ROLES, host(), DEMAND, Choices()).settings]
    assert "net.ipv4.tcp_fastopen" not in keys
    assert planned(host(), "net.ipv4.tcp_fastopen", Choices(fast_open=True)).want == "3"


@pytest.mark.parametrize(
    ("demand", "choice", "pages"),
    [
        (Demand(), None, None),
        (Demand(engine_huge_mib=5), None, "3"),
        (Demand(shared_buffers_mib=1000), None, "537"),
        (Demand(), 1024, "1024"),
        (Demand(shared_buffers_mib=1000), 0, None),
    ],
)
def test_huge_pages_follow_from_what_asks_for_them(demand: Demand, choice: int | None, pages: str | None) -> None:
    found = plan(ROLES, host(), demand, Choices(huge_pages=choice)).settings
    assert next((one.want for one in found if one.setting.key == "vm.nr_hugepages"), None) == pages


def test_more_huge_pages_than_memory_are_refused_with_both_figures() -> None:
    with pytest.raises(TuningError, match=r"vm\.nr_hugepages: 16384 MiB .* 12288 MiB"):
        plan(ROLES, host(), DEMAND, Choices(huge_pages=8192))


def test_all_conflicts_are_told_at_once() -> None:
    with pytest.raises(TuningError) as caught:
        plan(("postgres", "redis"), host(), DEMAND, Choices(huge_pages=8192))
    assert [problem.split(":")[0] for problem in caught.value.problems] == ["vm.overcommit_memory", "vm.nr_hugepages"]


def test_the_connection_table_grows_with_connections_after_its_module() -> None:
    found = plan(ROLES, host(), Demand(connections=100_000), Choices()).settings
    keys = [one.setting.key for one in found]
    table = next(one for one in found if one.setting.key == "net.netfilter.nf_conntrack_max")
    assert (table.want, table.action) == ("524288", "set")
    assert keys[0] == "nf_conntrack"


def test_a_kernel_without_modules_has_no_connection_table() -> None:
    bare = msgspec.structs.replace(host(), modules_available=False)
    assert planned(bare, "nf_conntrack").action == "unavailable"
    assert planned(bare, "net.netfilter.nf_conntrack_max").action == "unavailable"


@pytest.mark.parametrize("place", ["/proc/sys", "/proc/sys/net/core/rmem_max"])
def test_what_cannot_be_written_is_unavailable_and_says_so(place: str) -> None:
    locked = msgspec.structs.replace(host(), read_only=frozenset({place}))
    found = planned(locked, "net.core.rmem_max")
    assert found.action == "unavailable"
    assert "read-only" in found.why


def test_placement_keeps_interrupts_clocks_and_sleep_off_the_engines_cores() -> None:
    wants = {
        one.setting.key: one.want for one in plan(ROLES, host(), Demand(), Choices()).settings if one.action == "set"
    }
    engine = "/sys/devices/system/cpu/cpu3"  # with CPU 7 it is the last core
    assert wants["/proc/irq/30/smp_affinity_list"] == "0-2,4-6"
    assert wants["/proc/irq/default_smp_affinity"] == "77"
    assert wants["/sys/class/net/eth0/queues/rx-0/rps_cpus"] == "77"
    assert wants[f"{engine}/cpufreq/scaling_governor"] == "performance"
    assert wants[f"{engine}/cpuidle/state2/disable"] == "1"
    assert f"{engine}/cpuidle/state1/disable" not in wants
    assert "/sys/devices/system/cpu/cpu0/cpuidle/state2/disable" not in wants
    assert "/proc/irq/31/smp_affinity_list" not in wants


def test_a_container_leaves_the_machines_hardware_alone_and_says_so() -> None:
    found = plan(ROLES, msgspec.structs.replace(host(), container="docker"), Demand(), Choices()).settings
    hardware = [one for one in found if "cpu" in one.setting.key or "irq" in one.setting.key]
    assert hardware
    assert all(one.action == "unavailable" and "docker" in one.why for one in hardware)


def test_two_cpus_share_and_poll_nothing() -> None:
    small = msgspec.structs.replace(host(), cpus=host().cpus[:2])
    keys = {one.setting.key for one in plan(ROLES, small, Demand(), Choices()).settings if one.action == "set"}
    assert not [key for key in keys if "busy" in key or "irq" in key or "cpuidle" in key]


@pytest.mark.parametrize("role", ROLES)
def test_each_role_alone_has_a_plan(role: Role) -> None:
    assert plan((role,), host(), DEMAND, Choices()).settings


def _kernel(numbers: dict[str, list[int]]) -> Machine:
    """With numbers of the generator's in place of those of the test's, as many for each key; pairs stay as they are."""
    sysctls = dict(DEBIAN)
    for key, values in numbers.items():
        count = len(DEBIAN[key].split())
        ordered = sorted(values)[:count]
        sysctls[key] = " ".join(map(str, ordered)) if count else ""
    sysctls["net.ipv4.ip_unprivileged_port_start"] = "0"
    return host(sysctls)


KERNELS = st.dictionaries(
    st.sampled_from([key for key in DEBIAN if "dirty" not in key and "overcommit" not in key and "ports" not in key]),
    st.lists(_NUMBERS, min_size=3, max_size=3),
).map(_kernel)


@given(KERNELS)
def test_no_value_of_any_kernel_is_lowered_but_where_less_is_better(machine: Machine) -> None:
    after = applied(plan(ROLES, machine, DEMAND, Choices()), machine)
    for one in plan(ROLES, machine, DEMAND, Choices()).settings:
        if one.setting.kind != "sysctl" or one.setting.key not in machine.sysctls:
            continue
        before, now = machine.sysctls[one.setting.key], after.sysctls[one.setting.key]
        if one.setting.rule == "at_least":
            assert all(int(b) >= int(a) for a, b in zip(before.split(), now.split(), strict=True)), one
        elif one.setting.rule == "as_wide":
            assert int(now.split()[0]) <= int(before.split()[0]), one
            assert int(now.split()[1]) >= int(before.split()[1]), one
        elif one.setting.rule == "includes":
            assert set(ports(before)) <= set(ports(now))


@given(KERNELS)
def test_after_a_plan_every_kernel_has_what_was_asked(machine: Machine) -> None:
    found = plan(ROLES, machine, DEMAND, Choices())
    after = applied(found, machine)
    for one in found.settings:
        if one.setting.kind == "sysctl" and one.action == "set":
            assert satisfied(one.setting.rule, one.setting.value, after.sysctls[one.setting.key])


@given(KERNELS)
def test_a_second_plan_is_the_first(machine: Machine) -> None:
    first = plan(ROLES, machine, DEMAND, Choices())
    snapshot, after = take(first, machine), applied(first, machine)
    assert plan(ROLES, original(snapshot, after), DEMAND, Choices()) == first


@given(KERNELS)
def test_a_tuned_kernel_that_nobody_remembers_needs_nothing(machine: Machine) -> None:
    after = applied(plan(ROLES, machine, DEMAND, Choices()), machine)
    again = plan(ROLES, after, DEMAND, Choices())
    assert [one for one in again.settings if one.action == "set"] == []


def test_a_plan_goes_through_json() -> None:
    found = plan(ROLES, host(), DEMAND, Choices())
    assert msgspec.json.decode(msgspec.json.encode(found), type=Plan) == found


def test_the_file_gives_what_is_set_and_nothing_else() -> None:
    found = plan(ROLES, host(), DEMAND, Choices())
    lines = [line for line in found.files[SYSCTL_FILE].splitlines() if line and not line.startswith("#")]
    assert lines == [
        f"{one.setting.key} = {one.want}"
        for one in found.settings
        if one.action == "set" and one.setting.kind == "sysctl"
    ]
