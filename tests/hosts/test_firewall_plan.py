"""What is done to a host's firewall, from what it is like."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from hosts import docker_ports, firewall_plan
from hosts.docker_ports import FAMILIES, JUMP, Kernel
from hosts.firewall_facts import Firewall, read
from hosts.ufw import Added, Rule
from stacks.commands.failures import Failure

RULES = (Rule(22, "192.0.2.7", "ssh, the administrator who ran this", first=True), Rule(443, "", "clients, https"))
DEFAULTS = {name: want for name, (want, _) in firewall_plan.DEFAULTS.items()} | {"ENABLED": "yes"}


def closed(**more: Any) -> Firewall:  # noqa: ANN401
    """As it should be."""
    chains = {family: docker_ports.chain(RULES, Kernel(), family, (22,)) for family in FAMILIES}
    kernel = {family: Kernel((JUMP, *chain)) for family, chain in chains.items()}
    usual = Firewall(
        installed=True,
        running=True,
        at_boot=True,
        defaults=DEFAULTS,
        added=tuple(Added(rule.arguments, f"veloz: {rule.why}") for rule in RULES),
        blocks={family: docker_ports.block(RULES, Kernel(), family, (22,)) for family in FAMILIES},
        kernel=kernel,
        ssh_ports=(22,),
    )
    return msgspec.structs.replace(usual, **more)


def words(found: Firewall) -> list[str]:
    return [change.words for change in firewall_plan.plan(RULES, found).changes]


def test_nothing_is_done_where_all_is_as_it_should_be() -> None:
    assert words(closed()) == []


def test_a_kernel_without_ipv6_has_nothing_of_it_to_load() -> None:
    without = {4: closed().kernel[4]}
    assert words(closed(kernel=without, families=(4,))) == []
    assert words(closed(kernel=without)) == ["~ the firewall is loaded anew"]


def test_the_way_in_is_there_before_it_is_switched_on() -> None:
    told = words(Firewall())
    assert told.index("+ allow 22/tcp from 192.0.2.7: ssh, the administrator who ran this") < told.index(
        "~ the firewall is switched on"
    )


@pytest.mark.parametrize(
    ("found", "expected"),
    [
        (closed(running=False), ["~ the firewall is switched on"]),
        (closed(defaults=DEFAULTS | {"ENABLED": "no"}), ["~ the firewall is switched on"]),
        (closed(at_boot=False), ["~ the firewall starts at boot"]),
        (closed(defaults=DEFAULTS | {"DEFAULT_INPUT_POLICY": "ACCEPT"}), ["~ DEFAULT_INPUT_POLICY: ACCEPT → DROP"]),
        (closed(defaults=DEFAULTS | {"LOGLEVEL": "off"}), ["~ LOGLEVEL: off → low"]),
        (closed(kernel={}), ["~ the firewall is loaded anew"]),
        (closed(added=closed().added[:1]), ["+ allow 443/tcp from everybody: clients, https"]),
        (
            closed(blocks={4: closed().blocks[4]}),
            ["~ /etc/ufw/after6.rules: what Docker publishes obeys the same rules", "~ the firewall is loaded anew"],
        ),
        (
            closed(added=(*closed().added, Added("allow 80/tcp", "veloz: clients, http"))),
            ["- allow 80/tcp: veloz: clients, http"],
        ),
    ],
    ids=["stopped", "not enabled", "not at boot", "input", "logging", "flushed", "rule", "block", "stale"],
)
def test_what_is_not_so_is_put_right(found: Firewall, expected: list[str]) -> None:
    assert words(found) == expected


def test_many_rules_are_confirmed_in_parts_and_none_is_lost() -> None:
    many = (*RULES, *(Rule(port, "10.0.0.2", "a peer") for port in range(1000, 1045)))
    plan = firewall_plan.plan(many, Firewall())
    assert max(len(part.changes) for part in plan.parts) < len(plan.changes)
    assert sum((part.changes for part in plan.parts), ()) == plan.changes


def test_ipv6_switched_on_brings_its_rules() -> None:
    told = words(closed(defaults=DEFAULTS | {"IPV6": "no"}))
    assert told[0] == "~ IPV6: no → yes"
    assert "+ allow 443/tcp from everybody: clients, https" in told
    assert told[-1] == "~ the firewall is loaded anew"


def test_rules_of_others_are_named_and_stay() -> None:
    theirs = (Added("allow 2222/tcp", "mine"), Added("deny 443/tcp"))
    plan = firewall_plan.plan(RULES, closed(added=(closed().added[0], *theirs)))
    assert plan.changes == ()
    assert "kept, somebody else's rule: ufw allow 2222/tcp (mine)" in plan.notes
    assert any("ufw deny 443/tcp: somebody else refuses what the description opens" in note for note in plan.notes)


def beside(*, security: tuple[str, ...] = (), docker_user: tuple[str, ...] = ()) -> firewall_plan.Plan:
    """As it should be, with rules of others: after ours in our table, and in Docker's chain for them."""
    now = closed()
    kernel = {family: Kernel((*it.security, *security), docker_user) for family, it in now.kernel.items()}
    return firewall_plan.plan(RULES, closed(kernel=kernel))


@pytest.mark.parametrize(
    "rule",
    ["-j f2b-sshd", "-m set --match-set crowdsec-blacklists src -j DROP", "-s 198.51.100.7/32 -j DROP", "-j ACCEPT"],
)
def test_nothing_is_done_about_rules_of_others_in_dockers_chain(rule: str) -> None:
    plan = beside(docker_user=("-N DOCKER-USER", f"-A DOCKER-USER {rule}", "-A DOCKER-USER -j RETURN"))
    assert plan.changes == ()
    said = [note for note in plan.notes if "DOCKER-USER" in note]
    assert [note.partition(":")[0] for note in said] == (
        [f"-A DOCKER-USER {rule} (IPv{family})" for family in FAMILIES] if "ACCEPT" in rule else []
    )


@pytest.mark.parametrize(
    ("rule", "missing"),
    [("-j own", "own"), ("-m set --match-set bad src -j DROP", "-m set"), ("-j SECMARK", "SECMARK")],
)
def test_a_rule_that_may_not_load_at_boot_is_named_and_why(rule: str, missing: str) -> None:
    plan = beside(security=(f"-A FORWARD {rule}",))
    assert plan.changes == ()
    told = [note for note in plan.notes if f"-A FORWARD {rule} (IPv4" in note]
    assert [f"needs {missing}" in note and "until ufw is loaded anew" in note for note in told] == [True]


def test_one_that_always_loads_is_kept_in_the_file() -> None:
    plan = beside(security=("-A FORWARD -s 198.51.100.7/32 -j DROP",))
    assert [change.words.partition(":")[0] for change in plan.changes] == [
        "~ /etc/ufw/after.rules", "~ /etc/ufw/after6.rules", "~ the firewall is loaded anew"
    ]  # fmt: skip


def test_another_firewall_is_not_fought_with() -> None:
    with pytest.raises(Failure, match=r"^firewalld and nftables: active or .* disable --now firewalld nftables,"):
        words(closed(rivals=("firewalld", "nftables")))


def test_a_block_without_its_end_is_not_cut_out() -> None:
    with pytest.raises(Failure, match=r"after\.rules: .* has no"):
        words(closed(blocks={4: closed().blocks[4].replace(docker_ports.END, "")}))


def test_off_keeps_what_somebody_else_has_added_since() -> None:
    before, since = Added("allow 2222/tcp", "mine"), Added("allow 2223/tcp", "it's later")
    found = closed(original=True, original_added=(before,), added=(*closed().added, before, since))
    plan = firewall_plan.off(found)
    assert [change.command for change in plan.changes] == [
        f"sh {firewall_plan.GUARD} original",
        """ufw allow 2223/tcp comment 'it'"'"'s later'""",
    ]
    assert firewall_plan.off(closed()).changes == ()


def test_what_a_host_says_is_read() -> None:
    said = """@@veloz installed
/usr/sbin/ufw
@@veloz running
@@veloz at_boot
enabled
@@veloz defaults
IPV6=yes
DEFAULT_INPUT_POLICY="DROP"
LOGLEVEL=low
@@veloz added
Added user rules (see 'ufw status' for running firewall):
ufw allow 443/tcp comment 'veloz: clients, https'
@@veloz ssh_ports
2222
22
@@veloz resolved
data 10.0.0.4
data 10.0.0.4
data fd00::4
@@veloz bridges
br-0123456789ab
br-lan
@@veloz ipv6
/proc/sys/net/ipv6
@@veloz rivals
nftables
@@veloz docker_user4
-N DOCKER-USER
-A DOCKER-USER -j f2b-sshd
@@veloz security4
*security
-A FORWARD -j veloz-docker
"""
    found = read(said.splitlines())
    assert (found.installed, found.running, found.at_boot, found.armed) == (True, False, True, False)
    assert found.defaults == {"IPV6": "yes", "DEFAULT_INPUT_POLICY": "DROP", "LOGLEVEL": "low"}
    assert found.added == (Added("allow 443/tcp", "veloz: clients, https"),)
    assert found.ssh_ports == (22, 2222)
    assert found.rivals == ("nftables",)
    assert (found.families, read(["@@veloz ipv6"]).families) == (FAMILIES, (4,))
    assert found.resolved == {"data": ("10.0.0.4", "fd00::4")}
    assert found.kernel[4] == Kernel(
        ("*security", JUMP), ("-N DOCKER-USER", "-A DOCKER-USER -j f2b-sshd"), bridges=("br-lan",)
    )
