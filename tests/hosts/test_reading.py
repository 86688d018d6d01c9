"""The reading, by a shell, of what is there."""

import os
import subprocess
from pathlib import Path

import pytest

from hosts.facts import machine, parse, sections
from hosts.facts.reading import ModuleUsers, Reading, mounted_read_only


def test_files_come_whole_and_a_mask_as_an_empty_one(tmp_path: Path) -> None:
    folder = tmp_path / "sysctl.d"
    folder.mkdir()
    (folder / "a b.conf").write_text("vm.x = 1\n\n")
    (folder / "empty.conf").touch()
    (folder / "masked.conf").symlink_to("/dev/null")
    (folder / "other.txt").write_text("no")
    (tmp_path / "switch").write_text("always [madvise] never\n")
    command = Reading().command(patterns=(f"{tmp_path}/sw*",), files=(f"{folder}/*.conf", f"{tmp_path}/none"))
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True)
    found = Reading().process(done.stdout.splitlines())
    assert parse.files(found["files"]) == {
        f"{folder}/a b.conf": "vm.x = 1\n\n",
        f"{folder}/empty.conf": "",
        f"{folder}/masked.conf": "",
    }
    assert parse.values(found["sysfs"]) == {f"{tmp_path}/switch": "madvise"}
    assert found["kernel"]


SAID = """==veloz== kernel
6.1.0
==veloz== container
none
==veloz== cpus
0,0,0,0,Y
==veloz== memory
4096
==veloz== sysctls
vm.swappiness = 60
==veloz== modules
nf_conntrack
==veloz== builtin
loop
==veloz== huge
hugepages-2048kB
hugepages-1048576kB
==veloz== interfaces
eth0\trx-0 tx-0\t30
==veloz== interrupts
 30:  1 PCI eth0
==veloz== depends
insmod /lib/modules/6.1/kernel/net/ipv4/nf_defrag_ipv4.ko
insmod /lib/modules/6.1/kernel/net/ipv6/nf-defrag-ipv6.ko.xz
builtin libcrc32c
insmod /lib/modules/6.1/kernel/net/netfilter/nf_conntrack.ko hashsize=1
==veloz== clocks
chrony.service
phc2sys@eth0.service
==veloz== irqbalance
irqbalance.service
==veloz== there
/etc/chrony
==veloz== empty
/etc/chrony
==veloz== forbidden
/proc/sys/net/core/rmem_max
==veloz== mounts
/sys ro,nosuid
/proc/sys rw"""


def test_a_machine_is_made_from_what_was_said() -> None:
    made = machine.machine(sections.split(SAID.splitlines()), {"/etc/x": None})
    assert (made.container, made.memory_kib, made.sysctls) == ("", 4096, {"vm.swappiness": "60"})
    assert made.modules == {"nf_conntrack", "loop"}
    assert made.huge_page_sizes == (2048, 1048576)
    assert made.interfaces[0].irqs == (30,)
    assert made.depends == {"nf_conntrack": ("nf_defrag_ipv4", "nf_defrag_ipv6")}
    assert made.clocks == {"chrony", "phc2sys@eth0"}
    assert made.irqbalance
    assert made.there == made.empty == {"/etc/chrony"}
    assert made.read_only == {"/sys", "/proc/sys/net/core/rmem_max"}
    assert not made.writable("/sys/kernel")


@pytest.mark.parametrize(
    ("running", "at_boot", "there"),
    [
        ("irqbalance.service loaded active running x", "", True),
        ("", "irqbalance.service enabled enabled", True),
        ("", "", False),
    ],
)
def test_irqbalance_counts_while_it_runs_and_when_it_will(running: str, at_boot: str, there: bool) -> None:  # noqa: FBT001
    says = (
        'systemctl() { case "$*" in list-units*irqbalance.service) printf "$RUNNING";; '
        'list-unit-files*irqbalance.service) printf "$AT_BOOT";; esac; }\n'
    )
    done = subprocess.run(
        ["sh", "-c", says + Reading().command(patterns=(), files=())],
        capture_output=True, text=True, check=True, env={**os.environ, "RUNNING": running, "AT_BOOT": at_boot},
    )  # fmt: skip
    found = machine.machine(Reading().process(done.stdout.splitlines()), {})
    assert (found.irqbalance, found.clocks) == (there, frozenset())


def test_the_last_mount_counts() -> None:
    assert mounted_read_only(["/sys ro", "/sys rw,nosuid"], ("/sys",)) == frozenset()


def test_what_is_there_and_what_is_empty_is_told_apart(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "full/x").mkdir(parents=True)
    (tmp_path / "link").symlink_to("nowhere")
    places = [str(tmp_path / name) for name in ("empty", "full", "link", "none")]
    command = Reading().command(patterns=(), files=(), places=places)
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=True)
    found = Reading().process(done.stdout.splitlines())
    assert found["there"] == places[:3]
    assert found["empty"] == places[:1]


def test_who_uses_a_module_is_known() -> None:
    lines = ["nf_conntrack 1 2 nft_ct,nf_nat, Live 0x0", "nf_nat 1 1 - Live 0x0", "loop 1 0 - Live 0x0", ""]
    assert ModuleUsers().process(lines) == {"nf_conntrack": "nft_ct, nf_nat", "nf_nat": "", "loop": ""}
