"""The block that holds Docker's published ports to the policy."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from hosts import docker_ports
from hosts.docker_ports import FAMILIES, JUMP, Family, Kernel
from hosts.ufw import Rule

ADMIN = Rule(22, "192.0.2.7", "ssh", first=True)
RULES = (ADMIN, Rule(443, "", "clients"), Rule(9090, "10.0.0.0/8", "management"), Rule(6379, "fd00::2", "a gateway"))
THEIRS = "-A FORWARD -s 198.51.100.7/32 -j DROP"


def opened(family: Family) -> list[str]:
    chain = docker_ports.chain(RULES, Kernel(), family, (22,))
    return [rule.removeprefix("-A veloz-docker ") for rule in chain if "--ctorigdstport" in rule]


def test_each_family_opens_its_own_and_ssh_is_the_hosts() -> None:
    wanted = "-m conntrack --ctstate DNAT --ctorigdstport"
    assert opened(4) == [f"-p tcp {wanted} 443 -j RETURN", f"-s 10.0.0.0/8 -p tcp {wanted} 9090 -j RETURN"]
    assert opened(6) == [f"-p tcp {wanted} 443 -j RETURN", f"-s fd00::2/128 -p tcp {wanted} 6379 -j RETURN"]


@pytest.mark.parametrize("family", FAMILIES)
def test_what_comes_from_outside_and_is_not_opened_is_dropped_last(family: Family) -> None:
    chain = docker_ports.chain(RULES, Kernel(), family)
    assert "RELATED,ESTABLISHED -j RETURN" in chain[0]
    drops = [rule for rule in chain if rule.endswith("-j DROP")]
    assert chain[-len(drops) :] == tuple(drops)
    assert [rule.split()[-3] for rule in drops] == ["DNAT", "docker0", "br-+", "docker_gwbridge"]


def test_a_bridge_that_is_only_called_like_dockers_is_outside() -> None:
    chain = docker_ports.chain(RULES, Kernel(bridges=("br-lan",)), 4)
    outer = [at for at, rule in enumerate(chain) if "-i br-lan" in rule]
    assert all(chain[at].endswith("-j DROP") for at in outer)
    assert max(outer) < chain.index("-A veloz-docker -i br-+ -j RETURN")
    assert docker_ports.of_docker("br-0123456789ab")
    assert not docker_ports.of_docker("br-lan")


def test_it_is_asked_where_nothing_that_others_accept_passes_it_by() -> None:
    for family in FAMILIES:
        block = docker_ports.block(RULES, Kernel(), family).splitlines()
        tables = [line for line in block if line.startswith(("*", "COMMIT"))]
        assert tables == ["*security", "COMMIT"]
        assert [line for line in block if line.startswith(("-F", "-A FORWARD"))] == ["-F FORWARD", JUMP]
        assert not any("DOCKER-USER" in line for line in block)


def test_what_others_have_beside_it_stays_behind_ours() -> None:
    kernel = Kernel((":FORWARD ACCEPT [0:0]", THEIRS, JUMP, THEIRS))
    block = docker_ports.block(RULES, kernel, 4).splitlines()
    assert [line for line in block if line.startswith("-A FORWARD")] == [JUMP, THEIRS]
    # What the kernel has then gives the same block.
    assert docker_ports.block(RULES, Kernel(tuple(block)), 4).splitlines() == block


@pytest.mark.parametrize(
    "rule",
    [
        "-j f2b-sshd",
        "-g f2b-sshd",
        "-m set --match-set crowdsec-blacklists src -j DROP",
        "-j SET --add-set seen src",
        "-m geoip --source-country XX -j DROP",
        '-m comment --comment "-j DROP" -j f2b-sshd',
        '-m comment --comment "it\\\'s \\"mine\\"" -j f2b-sshd',
        "-m comment --comment it's -j f2b-sshd",
    ],
)
def test_what_needs_something_of_others_is_not_in_the_block(rule: str) -> None:
    """At boot it may not be there, and iptables-restore takes all or nothing."""
    foreign = f"-A FORWARD {rule}"
    alone = docker_ports.block(RULES, Kernel(), 4)
    assert docker_ports.block(RULES, Kernel((JUMP, foreign)), 4) == alone
    assert docker_ports.loaded(RULES, Kernel((JUMP, foreign, *docker_ports.chain(RULES, Kernel(), 4))), 4)


CHAIN = docker_ports.chain(RULES, Kernel(), 4)


@pytest.mark.parametrize(
    ("security", "expected"),
    [
        ((), False),
        ((JUMP, *CHAIN), True),
        (CHAIN, False),
        ((JUMP, *CHAIN[:-1]), False),
        ((JUMP, "-A FORWARD -j ACCEPT", *CHAIN), True),
        (("-A FORWARD -j ACCEPT", JUMP, *CHAIN), False),
        (("-A FORWARD -p tcp -m tcp --dport 5432 -j RETURN", JUMP, *CHAIN), False),
        (("-A FORWARD -j NFQUEUE --queue-num 0", JUMP, *CHAIN), False),
        (("-A FORWARD -g theirs", JUMP, *CHAIN), False),
        (("-A FORWARD -j theirs", JUMP, "-A theirs -j deeper", "-A deeper -j theirs", "-A deeper -j ACCEPT", *CHAIN), False),
        (("-A FORWARD -j theirs", JUMP, "-A theirs -j deeper", "-A deeper -j theirs", "-A deeper -j RETURN", *CHAIN), True),
        ((THEIRS, "-A FORWARD -j LOG", "-A FORWARD -s 192.0.2.9/32", JUMP, *CHAIN), True),
    ],
    ids=[
        "nothing", "all", "not called", "one rule gone", "accepted behind", "accepted before", "returned before",
        "queued before", "gone to before", "called chain accepts", "called chain does not", "harmless before",
    ],
)  # fmt: skip
def test_what_the_kernel_has_not_or_what_passes_it_by_is_noticed(security: tuple[str, ...], *, expected: bool) -> None:
    assert docker_ports.loaded(RULES, Kernel(security), 4) is expected


@pytest.mark.parametrize("family", FAMILIES)
def test_iptables_understands_the_block(family: Family) -> None:
    """In a network namespace of its own."""
    tool = {4: "iptables-restore", 6: "ip6tables-restore"}[family]
    if not (shutil.which("unshare") and shutil.which(tool)):
        pytest.skip(f"no unshare or no {tool} here")
    needy = ("-A FORWARD -j nobodys", "-A FORWARD -m set --match-set nobodys src -j DROP")
    block = docker_ports.block(RULES, Kernel((THEIRS, *needy) if family == 4 else needy, bridges=("br-lan",)), family)
    done = subprocess.run(["unshare", "-rn", tool, "-n"], input=block, capture_output=True, text=True, check=False)
    if "Operation not permitted" in done.stderr or "Permission denied" in done.stderr:
        pytest.skip(f"no network namespace here: {done.stderr.strip()}")
    assert (done.returncode, done.stderr) == (0, "")
