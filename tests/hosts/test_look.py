"""The first look at a host, and what a command says before it changes anything."""

from typing import Any

import pytest

from hosts import preflight
from hosts.facts.look import Listener, Look, listener, look
from stacks.commands.failures import Failure
from stacks.commands.findings import show
from stacks.commands.output import Output

SAID = """==veloz== system
PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"
# comment
VERSION_ID="12"
ID=debian
==veloz== kernel
6.1.0-37-amd64
==veloz== architecture
x86_64
==veloz== container
none
==veloz== user
0
==veloz== init
systemd
==veloz== clock
1000.25
==veloz== synchronised
yes
==veloz== listening
tcp LISTEN 0 128 192.0.2.7:22 192.0.2.7:* users:(("sshd",pid=171,fd=3))
udp UNCONN 0 0 127.0.0.53%lo:53 192.0.2.7:*
==veloz== disk
2097152 /
1048576 /opt
==veloz== memory
MemTotal:       16384000 kB
==veloz== python
3.11""".splitlines()
GOOD = look(SAID)


def verdicts(seen: Look, now: float = 1000.3, **more: object) -> dict[str, str]:
    return {one.what: one.verdict for one in preflight.findings(seen, now, **more)}  # type: ignore[arg-type]


def test_a_host_says_what_it_is() -> None:
    expected = Look(
        system="debian", version="12", kernel="6.1.0-37-amd64", architecture="x86_64", container="", root=True,
        init="systemd", clock=1000.25, synchronised=True, free_mib=1024, memory_mib=16000, python="3.11",
        listeners=(Listener("tcp", "192.0.2.7", 22, "sshd"), Listener("udp", "127.0.0.53", 53, "")),
    )  # fmt: skip
    assert expected == GOOD


def test_a_host_that_says_nothing_is_refused_for_what_is_not_known() -> None:
    assert {what for what, verdict in verdicts(look([])).items() if verdict == "refused"} == {
        "system", "rights", "disk", "kernel", "init", "clock"
    }  # fmt: skip


def test_a_good_host_passes() -> None:
    assert set(verdicts(GOOD).values()) == {"ok"}


@pytest.mark.parametrize(
    ("change", "what", "verdict"),
    [
        ({"system": "fedora", "version": "40"}, "system", "refused"),
        ({"system": "ubuntu", "version": "24.04"}, "system", "ok"),
        ({"version": "11"}, "system", "refused"),
        ({"kernel": "4.19.0-27-amd64"}, "kernel", "refused"),
        ({"root": False}, "rights", "refused"),
        ({"init": "init"}, "init", "refused"),
        ({"free_mib": 100}, "disk", "refused"),
        ({"container": "docker"}, "machine", "note"),
        ({"python": ""}, "python3", "note"),
        ({"clock": 1003.0}, "clock", "note"),
        ({"clock": 2000.0}, "clock", "refused"),
    ],
)
def test_what_will_not_do_is_named(change: dict[str, Any], what: str, verdict: str) -> None:
    assert verdicts(GOOD._replace(**change))[what] == verdict


def test_a_port_is_free_ours_or_a_strangers() -> None:
    found = verdicts(GOOD, ports=(22, 443))
    assert (found["port 22"], found["port 443"]) == ("refused", "ok")
    assert verdicts(GOOD, ports=(22,), ours=("sshd",))["port 22"] == "ok"


OURS = ("127.213.0.3", "127.213.0.4")


@pytest.mark.parametrize(
    ("line", "ours", "have"),
    [
        ("tcp 127.213.0.4 nginx", (), "held by nginx at 127.213.0.4"),
        ("tcp 127.213.0.4 python", (), "held by python at 127.213.0.4"),
        ("tcp 127.213.0.4 python", ("python",), "free or ours"),
        ("tcp 0.0.0.0 java", ("python",), "held by java at 0.0.0.0"),
        ("tcp * python", ("python",), "held by python at *"),
        ("tcp :: ", (), "held by a process at ::"),
        ("tcp 127.0.0.1 java", (), "free or ours"),
        ("tcp 192.0.2.7 java", (), "free or ours"),
        ("udp 0.0.0.0 java", (), "free or ours"),
    ],
)
def test_a_port_of_addresses_of_its_own_is_held_there_or_at_all(line: str, ours: tuple[str, ...], have: str) -> None:
    protocol, address, process = line.split(" ")
    seen = GOOD._replace(listeners=(Listener(protocol, address, 8080, process), Listener("tcp", "0.0.0.0", 80, "x")))  # noqa: S104
    found = preflight.own_addresses(seen, 8080, OURS, ours)
    assert (found.what, found.have) == ("port 8080 of 127.213.0.3 … 127.213.0.4", have)
    assert found.verdict == ("refused" if have.startswith("held") else "ok")


def test_a_refusal_names_value_rule_and_remedy() -> None:
    with pytest.raises(Failure, match=r"disk: wanted 256 MiB free, have 100 MiB\. Make room"):
        show(list(preflight.findings(GOOD._replace(free_mib=100), 1000.3)), Output(machine=True))


@pytest.mark.parametrize("line", ["", "tcp LISTEN 0 128", "u_str LISTEN 0 1 /run/x 1 * 0"])
def test_what_is_no_listener_of_a_port_is_left_out(line: str) -> None:
    assert listener(line) is None


def test_an_address_of_six_loses_its_brackets() -> None:
    assert listener("tcp LISTEN 0 128 [::1]:8080 [::]:*") == Listener("tcp", "::1", 8080, "")
