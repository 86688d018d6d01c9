"""What a kernel says becomes plain values, whatever it leaves out."""

import base64
import subprocess

import pytest

from hosts.facts import parse, sections


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("net.ipv4.tcp_rmem = 4096\t131072\t33554432", {"net.ipv4.tcp_rmem": "4096 131072 33554432"}),
        ("vm.swappiness = 60", {"vm.swappiness": "60"}),
        ("kernel.core_pattern = |/usr/bin/x -a = b", {"kernel.core_pattern": "|/usr/bin/x -a = b"}),
        ("net.ipv4.tcp_fastopen_key =", {"net.ipv4.tcp_fastopen_key": ""}),
        ("net.ipv4.conf.eth0/100.rp_filter = 1", {"net.ipv4.conf.eth0/100.rp_filter": "1"}),
        ("sysctl: permission denied on key 'x'", {}),
    ],
)
def test_a_sysctl_has_one_spelling(line: str, expected: dict[str, str]) -> None:
    assert parse.sysctls([line]) == expected


def test_a_sysctl_of_several_lines_keeps_them() -> None:
    assert parse.sysctls(["dev.cdrom.info = a\tb", "dev.cdrom.info = c"]) == {"dev.cdrom.info": "a b\nc"}


def test_cpus_with_hyper_threads_and_one_that_is_off() -> None:
    lines = ["# a comment", "0,0,0,0,Y", "1,0,0,0,Y", "2,1,1,1,Y", "3,,,,N"]
    assert parse.cpus(lines) == (
        parse.Cpu(0, 0, 0, 0, online=True),
        parse.Cpu(1, 0, 0, 0, online=True),
        parse.Cpu(2, 1, 1, 1, online=True),
        parse.Cpu(3, 0, 0, 0, online=False),
    )


def test_files_come_back_byte_for_byte() -> None:
    text = "# é\nnet.core.somaxconn = 1\n\n"
    line = f"/etc/sysctl.d/a b.conf\t{base64.b64encode(text.encode()).decode()}"
    assert parse.files([line, "/bin/x\t////", "no tab"]) == {"/etc/sysctl.d/a b.conf": text}


def test_an_interface_has_its_queues_and_the_interrupts_that_are_there() -> None:
    lines = ["eth0\trx-0 rx-1 tx-0\t28 31 30", "lo\trx-0 tx-0\t"]
    assert parse.interfaces(
        lines, parse.interrupts([" 30:  1  0 PCI-MSIX virtio0-input.0", "31: 0 x", "LOC: 5 Local"])
    ) == (
        parse.Interface("eth0", 2, 1, (30, 31)),
        parse.Interface("lo", 1, 1, ()),
    )


def test_sections_are_told_apart_and_what_comes_before_is_no_section() -> None:
    assert sections.split(["a banner", "==veloz== one", "1", "", "==veloz== two"]) == {"one": ["1", ""], "two": []}


def test_a_script_goes_on_where_a_command_fails() -> None:
    script = sections.script({"one": "false", "two": "echo 2; nonsense-command", "three": "echo 3"})
    done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True)
    assert sections.split(done.stdout.splitlines()) == {"one": [], "two": ["2"], "three": ["3"]}
    assert not done.stderr
