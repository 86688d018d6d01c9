"""The reading, by a shell, of what is there."""

import subprocess
from pathlib import Path

from hosts.facts import machine, parse, sections
from hosts.facts.reading import Reading, mounted_read_only


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


def test_a_machine_is_made_from_what_was_said() -> None:
    said = """==veloz== kernel
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
==veloz== forbidden
/proc/sys/net/core/rmem_max
==veloz== mounts
/sys ro,nosuid
/proc/sys rw"""
    made = machine.machine(sections.split(said.splitlines()), {"/etc/x": None})
    assert (made.container, made.memory_kib, made.sysctls) == ("", 4096, {"vm.swappiness": "60"})
    assert made.modules == {"nf_conntrack", "loop"}
    assert made.huge_page_sizes == (2048, 1048576)
    assert made.interfaces[0].irqs == (30,)
    assert made.read_only == {"/sys", "/proc/sys/net/core/rmem_max"}
    assert not made.writable("/sys/kernel")


def test_the_last_mount_counts() -> None:
    assert mounted_read_only(["/sys ro", "/sys rw,nosuid"], ("/sys",)) == frozenset()
