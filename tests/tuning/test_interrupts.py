"""Interrupts are found by their card at each boot, whatever their numbers are then."""

from pathlib import Path

import msgspec
import pytest

from tests.tuning.kernels import applied, host, undone
from tests.tuning.test_plan import DEMAND
from tuning import interrupts
from tuning.choices import Choices
from tuning.machine import INTERRUPTS_SCRIPT, INTERRUPTS_UNIT, TMPFILES_FILE, Machine
from tuning.plan import plan
from tuning.profile import ROLES
from tuning.since import since
from tuning.snapshot import Undo, dropped, original, take, undo


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """eth0 with its interrupts at the device, eth1 (virtio) with them a folder above; eth0's second is away already."""
    pci = tmp_path / "sys/devices/pci0"
    for name, folder, numbers in (("eth0", pci, (41, 42)), ("eth1", tmp_path / "sys/devices/pci1", (50,))):
        (folder / "msi_irqs").mkdir(parents=True)
        device = folder / "virtio0" if name == "eth1" else folder
        (device / "net" / name / "queues/rx-0").mkdir(parents=True)
        (device / "net" / name / "queues/rx-0/rps_cpus").write_text("00\n")
        (device / "net" / name / "device").symlink_to(device)
        (tmp_path / "sys/class/net").mkdir(parents=True, exist_ok=True)
        (tmp_path / "sys/class/net" / name).symlink_to(device / "net" / name)
        for number in numbers:
            (folder / "msi_irqs" / str(number)).touch()
            (tmp_path / f"proc/irq/{number}").mkdir(parents=True)
            (tmp_path / f"proc/irq/{number}/smp_affinity_list").write_text("1-2\n" if number == 42 else "0-7\n")
    return tmp_path


def values(root: Path) -> dict[str, str]:
    paths = (*root.glob("proc/irq/*/*"), *root.glob("sys/class/net/*/queues/*/*"))
    return {str(path): path.read_text().strip() for path in paths}


def test_a_cards_interrupts_leave_the_engines_cpus_and_come_back(root: Path) -> None:
    before, record = values(root), root / "record"
    interrupts.main(root, ["set", str(record), "3,7", "0-2,4-6", "eth0", "eth1", "eth1/rx-0=77", "gone", "gone/rx-0=1"])
    now = {path.removeprefix(f"{root}/"): value for path, value in values(root).items()}
    assert now["proc/irq/41/smp_affinity_list"] == now["proc/irq/50/smp_affinity_list"] == "0-2,4-6"
    assert now["proc/irq/42/smp_affinity_list"] == "1-2"
    assert (now["sys/class/net/eth0/queues/rx-0/rps_cpus"], now["sys/class/net/eth1/queues/rx-0/rps_cpus"]) == (
        "00",
        "77",
    )
    interrupts.main(root, ["back", str(record)])
    assert values(root) == before


def test_an_interrupt_that_its_driver_keeps_ends_nothing(root: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = "/proc/irq/41"
    interrupts.write(root, {path: "0", "/proc/irq/50/smp_affinity_list": "0"})  # the first is a folder
    assert path in capsys.readouterr().err
    assert (root / "proc/irq/50/smp_affinity_list").read_text() == "0"


def test_without_a_record_there_is_nothing_to_give_back(root: Path) -> None:
    before = values(root)
    interrupts.main(root, ["back", str(root / "none")])
    assert values(root) == before


def test_lists_of_cpus_are_understood() -> None:
    assert interrupts.cpus("0-2,5\n") == {0, 1, 2, 5}
    assert interrupts.cpus("") == set()


def files(machine: Machine, choices: Choices | None = None) -> dict[str, str]:
    return plan(ROLES, machine, DEMAND, choices or Choices()).files


def test_the_next_boot_is_given_cards_not_numbers() -> None:
    found = files(host())
    assert (
        f"{INTERRUPTS_SCRIPT} set /run/veloz-interrupts/before 3,7 0-2,4-6 eth0 eth0/rx-0=77\n"
        in found[INTERRUPTS_UNIT]
    )
    assert "/proc/irq/30" not in found[TMPFILES_FILE]
    assert "rps_cpus" not in found[TMPFILES_FILE]
    assert "/proc/irq/default_smp_affinity" in found[TMPFILES_FILE]
    compile(found[INTERRUPTS_SCRIPT], "script", "exec")


def test_after_a_boot_that_moved_them_the_unit_is_the_same() -> None:
    moved = msgspec.structs.replace(host(), sysfs=host().sysfs | {"/proc/irq/30/smp_affinity_list": "0-2,4-6"})
    assert files(moved)[INTERRUPTS_UNIT] == files(host())[INTERRUPTS_UNIT]


@pytest.mark.parametrize(
    "machine",
    [
        msgspec.structs.replace(host(), container="docker"),
        msgspec.structs.replace(host(), cpus=host().cpus[:2]),
        msgspec.structs.replace(host(), interfaces=()),
    ],
)
def test_where_there_is_nothing_to_move_there_is_no_unit(machine: Machine) -> None:
    machine = msgspec.structs.replace(machine, sysfs={k: v for k, v in machine.sysfs.items() if "rps" not in k})
    assert not {INTERRUPTS_UNIT, INTERRUPTS_SCRIPT} & files(machine).keys()


BALANCED = msgspec.structs.replace(host(), irqbalance=True)


def test_what_irqbalance_places_is_unavailable_and_says_what_to_do() -> None:
    [one] = [one for one in plan(ROLES, BALANCED, DEMAND, Choices()).settings if "/proc/irq/" in one.setting.key]
    assert one.action == "unavailable"
    assert "systemctl disable --now irqbalance, then make tune" in one.why
    assert "IRQBALANCE_BANNED_CPULIST=3,7 in /etc/default/irqbalance" in one.why


def test_queues_are_not_irqbalances() -> None:
    found = files(BALANCED)
    assert f"{INTERRUPTS_SCRIPT} set /run/veloz-interrupts/before 3,7 0-2,4-6 eth0/rx-0=77\n" in found[INTERRUPTS_UNIT]
    assert "/proc/irq/" not in found[TMPFILES_FILE]


def test_where_nothing_can_be_placed_irqbalance_is_not_blamed() -> None:
    for other in (
        msgspec.structs.replace(BALANCED, container="docker"),
        msgspec.structs.replace(BALANCED, cpus=host().cpus[:2]),
    ):
        settings = plan(ROLES, other, DEMAND, Choices()).settings
        assert not [one for one in settings if "irqbalance" in one.why]


def test_wherever_irqbalance_has_moved_them_the_second_run_changes_nothing() -> None:
    """It came after the first tuning: what is ours goes, but for what it places."""
    irq, default = "/proc/irq/30/smp_affinity_list", "/proc/irq/default_smp_affinity"
    first = plan(ROLES, host(), DEMAND, Choices())
    snapshot, tuned = take(first, host()), applied(first, host())
    balanced = msgspec.structs.replace(tuned, irqbalance=True)
    second = plan(ROLES, original(snapshot, balanced), DEMAND, Choices())
    back = dropped(snapshot, second, balanced)
    assert back.sysfs == {default: "ff"}
    moved = undone(back, applied(second, balanced))
    for place in ("3", "0-7", "5"):
        moved = msgspec.structs.replace(moved, sysfs=moved.sysfs | {irq: place})
        again = plan(ROLES, original(snapshot, moved), DEMAND, Choices())
        assert again == second
        assert all(
            one.want == one.current for one in since(again, moved) if (one.setting.kind, one.action) == ("sysfs", "set")
        )
        assert dropped(snapshot, again, moved) == Undo({}, {}, (), {})
    assert undo(snapshot, moved).sysfs[irq] == "0-7"


def test_at_a_lower_level_there_is_no_unit() -> None:
    assert INTERRUPTS_UNIT not in files(host(), Choices(level="network"))
