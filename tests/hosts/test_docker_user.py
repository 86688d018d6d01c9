"""The block that puts the policy before Docker's rules."""

from __future__ import annotations

import shutil
import subprocess

import pytest

from hosts import docker_user
from hosts.docker_user import FAMILIES, JUMP, Family, Kernel
from hosts.ufw import Rule

ADMIN = Rule(22, "192.0.2.7", "ssh", first=True)
RULES = (ADMIN, Rule(443, "", "clients"), Rule(9090, "10.0.0.0/8", "management"), Rule(6379, "fd00::2", "a gateway"))
MINE = "-A DOCKER-USER -s 198.51.100.7/32 -j DROP"


def opened(family: Family) -> list[str]:
    chain = docker_user.chain(RULES, Kernel(), family, (22,))
    return [rule.removeprefix("-A veloz-docker ") for rule in chain if "--ctorigdstport" in rule]


def test_each_family_opens_its_own_and_ssh_is_the_hosts() -> None:
    wanted = "-m conntrack --ctstate DNAT --ctorigdstport"
    assert opened(4) == [f"-p tcp {wanted} 443 -j RETURN", f"-s 10.0.0.0/8 -p tcp {wanted} 9090 -j RETURN"]
    assert opened(6) == [f"-p tcp {wanted} 443 -j RETURN", f"-s fd00::2/128 -p tcp {wanted} 6379 -j RETURN"]


@pytest.mark.parametrize("family", FAMILIES)
def test_what_comes_from_outside_and_is_not_opened_is_dropped_last(family: Family) -> None:
    chain = docker_user.chain(RULES, Kernel(), family)
    assert "RELATED,ESTABLISHED -j RETURN" in chain[0]
    drops = [rule for rule in chain if rule.endswith("-j DROP")]
    assert chain[-len(drops) :] == tuple(drops)
    assert [rule.split()[-3] for rule in drops] == ["DNAT", "docker0", "br-+", "docker_gwbridge"]


def test_a_bridge_that_is_only_called_like_dockers_is_outside() -> None:
    chain = docker_user.chain(RULES, Kernel(bridges=("br-lan",)), 4)
    outer = [at for at, rule in enumerate(chain) if "-i br-lan" in rule]
    assert all(chain[at].endswith("-j DROP") for at in outer)
    assert max(outer) < chain.index("-A veloz-docker -i br-+ -j RETURN")
    assert docker_user.of_docker("br-0123456789ab")
    assert not docker_user.of_docker("br-lan")


def test_what_others_have_in_dockers_chain_stays_before_ours() -> None:
    kernel = Kernel(hook=("-N DOCKER-USER", MINE, JUMP, "-A DOCKER-USER -j RETURN"))
    block = docker_user.block(RULES, kernel, 4).splitlines()
    assert [line for line in block if line.startswith("-A DOCKER-USER")] == [MINE, JUMP, "-A DOCKER-USER -j RETURN"]
    # What the kernel has then gives the same block.
    hook = tuple(line for line in block if line.startswith("-A DOCKER-USER"))
    assert docker_user.block(RULES, Kernel(hook=hook), 4).splitlines() == block


@pytest.mark.parametrize(
    ("kernel", "expected"),
    [
        (Kernel(), False),
        (Kernel(hook=(JUMP,), chain=docker_user.chain(RULES, Kernel(), 4)), True),
        (Kernel(hook=(), chain=docker_user.chain(RULES, Kernel(), 4)), False),
        (Kernel(hook=(JUMP,), chain=docker_user.chain(RULES, Kernel(), 4)[:-1]), False),
    ],
    ids=["nothing", "all", "not called", "one rule gone"],
)
def test_what_the_kernel_has_not_is_noticed(kernel: Kernel, *, expected: bool) -> None:
    assert docker_user.loaded(RULES, kernel, 4) is expected


def test_ipv6_is_asked_in_a_table_that_docker_does_not_pass_by() -> None:
    theirs = "-A FORWARD -s 2001:db8::/32 -j DROP"
    kernel = Kernel(security=("-P FORWARD ACCEPT", theirs, "-A FORWARD -j veloz-docker"))
    block = docker_user.block(RULES, kernel, 6).splitlines()
    security = block[block.index("*security") :]
    assert security[2:5] == ["-F FORWARD", theirs, "-A FORWARD -j veloz-docker"]
    assert [line for line in security if line.startswith("-A veloz")] == list(docker_user.chain(RULES, kernel, 6))
    assert "*security" not in docker_user.block(RULES, kernel, 4)
    chain = docker_user.chain(RULES, Kernel(), 6)
    assert not docker_user.loaded(RULES, Kernel((JUMP,), chain), 6)
    assert docker_user.loaded(RULES, Kernel((JUMP,), chain, (*kernel.security, *chain)), 6)


@pytest.mark.parametrize("family", FAMILIES)
def test_iptables_understands_the_block(family: Family) -> None:
    """In a network namespace of its own."""
    tool = {4: "iptables-restore", 6: "ip6tables-restore"}[family]
    if not (shutil.which("unshare") and shutil.which(tool)):
        pytest.skip(f"no unshare or no {tool} here")
    after = {4: "ufw-after-forward", 6: "ufw6-after-forward"}[family]
    block = docker_user.block(RULES, Kernel(hook=(MINE,) if family == 4 else (), bridges=("br-lan",)), family)
    given = block.replace("*filter\n", f"*filter\n:{after} - [0:0]\n")
    done = subprocess.run(["unshare", "-rn", tool, "-n"], input=given, capture_output=True, text=True, check=False)
    if "Operation not permitted" in done.stderr or "Permission denied" in done.stderr:
        pytest.skip(f"no network namespace here: {done.stderr.strip()}")
    assert (done.returncode, done.stderr) == (0, "")
