"""The firewall's part of `verify`: what the description wants, what the host says, and what is seen from here."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Final, Literal

from pyinfra.api import FactBase
from typing_extensions import override

from hosts import docker_ports, firewall_plan, firewalling, reachable, ufw
from hosts.docker_ports import FAMILIES, FILES, Kernel
from hosts.firewall_facts import Firewall
from hosts.inventory import Member
from hosts.session import Session
from hosts.ufw import Rule
from tuning.verdict import Row

_RUN: Final = "make firewall"


class Listening(FactBase[dict[str, list[str]]]):
    """`ports` that something listens on for TCP, `addresses` of the host that others may come to."""

    @override
    def command(self) -> str:
        return (
            "ss -Hltn | awk '{print \"ports\", $4}' | sed 's/ .*:/ /' | sort -u; "
            "ip -o addr show scope global | awk '$2 !~ /^(docker|br-|veth)/ {print \"addresses\", $4}' | sed 's,/.*,,'"
        )

    @override
    def process(self, output: Iterable[str]) -> dict[str, list[str]]:
        found: dict[str, list[str]] = {"ports": [], "addresses": []}
        for line in output:
            what, _, value = line.partition(" ")
            found[what].append(value)
        return found


def rows(member: Member, session: Session) -> tuple[Row, ...]:
    """Raises Failure where the host cannot be asked, or the description says nothing of its ports."""
    seen = firewalling.look(member, session)
    if not seen.found.installed:
        return (Row(what="firewall", want="running", have="no ufw", verdict="missing", why=_RUN),)
    listening: dict[str, list[str]] = session.fact(Listening)
    ports = {int(port) for port in listening["ports"]}
    asked = {*ports, *(rule.port for rule in seen.rules)}
    addresses = [*dict.fromkeys([member.machine.address, *listening["addresses"]])]
    accepted = reachable.reached((address, port) for address in addresses for port in sorted(asked))
    found = list(inside(seen.rules, seen.found))
    for address in addresses:
        # Where nothing is reached, as over a family that this machine has not, there is nothing to see.
        if there := {port for at, port in accepted if at == address}:
            found += outside(seen.rules, _here(seen.administrator, address), address, ports, there)
    return tuple(found)


def inside(rules: Sequence[Rule], found: Firewall) -> Iterator[Row]:
    """What the host says, against the description."""
    running = found.running and found.defaults.get("ENABLED") == "yes" and found.at_boot
    yield _row("firewall", "running, at boot", "so" if running else "not so", running)
    for name in found.rivals:
        yield _row(f"{name}, another firewall", "off", "active or started at boot", well=False)
    for name, (want, _) in firewall_plan.DEFAULTS.items():
        have = found.defaults.get(name, "unset")
        yield _row(f"ufw {name}", want, have, have == want)
    difference = ufw.difference(rules, found.added)
    wrong = {step.rule: step.instead for step in difference.add}
    refused = {line.traffic: line for line in difference.refusing}
    for rule in rules:
        against = refused.get(ufw.Added(rule.arguments).traffic) or wrong.get(rule)
        have = f"ufw {against.arguments}" if against else "not there" if rule in wrong else "there"
        yield _row(f"ufw {rule.arguments}", rule.why, have, have == "there", missing=have == "not there")
    for line in difference.remove:
        yield _row(f"ufw {line.arguments}", "not there", f"there: {line.comment}", well=False)
    yield from _others(rules, difference.foreign)
    for family in FAMILIES:
        kernel = found.kernel.get(family, Kernel())
        same = found.blocks.get(family, "") == firewall_plan.wanted_block(rules, found, family)
        yield _row(f"{FILES[family]}: Docker's ports", "as the rules", "so" if same else "not so", same)
        if family not in found.families:
            continue
        loaded = docker_ports.loaded(rules, kernel, family, firewall_plan.ssh_ports(rules))
        have = f"passed by: {'; '.join(kernel.ahead)}" if kernel.ahead else "so" if loaded else "not so"
        yield _row(f"Docker's ports, IPv{family}", "as the rules", have, loaded)
    yield _row("the way back", "not armed", "armed" if found.armed else "not armed", not found.armed)


def outside(
    rules: Sequence[Rule], here: str, address: str, listening: Collection[int], accepted: Collection[int]
) -> Iterator[Row]:
    """What is reached from `here` (empty: nobody knows), against the rules.

    A port that nobody listens on cannot be shown open, nor what is open to some when nobody knows who asks.
    """
    for port in sorted({*listening, *(rule.port for rule in rules), *accepted}):
        sources = [rule.source for rule in rules if rule.port == port and rule.action == "allow"]
        may = any(_includes(source, here) for source in sources)
        want, have = "open" if may else "closed", "open" if port in accepted else "closed"
        what = f"{address} port {port}, from here"
        if may and port not in listening:
            yield Row(what=what, want=want, have=have, verdict="skipped", why="nobody listens there")
        elif sources and not here and "" not in sources:
            yield Row(what=what, want="open to some", have=have, verdict="skipped", why="who asks is not known")
        else:
            yield _row(what, want, have, have == want)


def _includes(source: str, here: str) -> bool:
    if not source or not here:
        return not source
    network, one = ipaddress.ip_network(source), ipaddress.ip_address(here)
    return network.version == one.version and one in network


def _here(administrator: str, address: str) -> str:
    """As the host sees this machine at one of its addresses: the administrator, in his family of addresses."""
    try:
        same = ipaddress.ip_address(address).version == ipaddress.ip_address(administrator).version
    except ValueError:  # a name
        return administrator
    return administrator if same else ""


def _others(rules: Sequence[Rule], foreign: Sequence[ufw.Added]) -> Iterator[Row]:
    """Rules of somebody else are theirs, unless they open to everybody what the description opens to few."""
    few = {f"{rule.port}" for rule in rules if rule.source} - {f"{rule.port}" for rule in rules if not rule.source}
    for line in foreign:
        word = line.traffic.removesuffix("/tcp")
        wide = word in few and not line.refuses
        yield Row(
            what=f"ufw {line.arguments}",
            want="not there" if wide else "",
            have="there",
            verdict="differs" if wide else "skipped",
            why="opens to everybody what the description opens to few" if wide else "somebody else's, kept",
        )


def _row(what: str, want: str, have: str, well: bool, *, missing: bool = False) -> Row:  # noqa: FBT001
    verdict: Literal["ok", "missing", "differs"] = "ok" if well else "missing" if missing else "differs"
    return Row(what=what, want=want, have=have, verdict=verdict, why="" if well else _RUN)
