"""Who may reach which port of a host: follows from the description's table of connections. Pure."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from hosts.inventory import Member
from hosts.ufw import Rule
from stacks import reach
from stacks.commands.failures import Failure
from tuning.profile import Role

# What the description calls a container, and the role of the host that it is on.
_HOSTED: Final[dict[str, Role]] = {
    "balancer": "balancer",
    "gateway": "gateway",
    "postgres": "postgres",
    "redis": "redis",
    "prometheus": "monitoring",
    "grafana": "monitoring",
}


class Seen(NamedTuple):
    """What the host says of itself: where the administrator comes from, its sshd's ports, addresses of the others' names."""

    administrator: str
    ssh_ports: tuple[int, ...]
    resolved: Mapping[str, tuple[str, ...]] = {}


def names(member: Member) -> tuple[str, ...]:
    """Of the other hosts, those that have to be looked up."""
    return tuple(peer.address for peer in member.peers if not _literal(peer.address))


def rules(member: Member, seen: Seen) -> tuple[Rule, ...]:
    """The way in for administrators first. Raises Failure where the description says nothing of a host's ports."""
    if member.spec.topology == "kubernetes":
        raise Failure(
            "topology kubernetes: ports between nodes are the cluster's own, and NetworkPolicies guard the pods; "
            "the firewall is for hosts of single and compose"
        )
    found: dict[str, Rule] = {}
    for rule in (*_ssh(member, seen), *_clients(member), *_operators(member), *_peers(member, seen)):
        found.setdefault(rule.arguments, rule)
    everybody = {rule.port for rule in found.values() if not rule.source}
    return tuple(rule for rule in found.values() if not rule.source or rule.port not in everybody)


def source(text: str) -> str:
    """An address or network as ufw prints it; empty for everybody."""
    network = ipaddress.ip_network(text.partition("%")[0], strict=False)
    if not network.prefixlen:
        return ""
    return str(network.network_address) if network.prefixlen == network.max_prefixlen else str(network)


def _ssh(member: Member, seen: Seen) -> Iterator[Rule]:
    for port in seen.ssh_ports:
        yield Rule(port, source(seen.administrator), "ssh, the administrator who ran this", first=True)
    for port in seen.ssh_ports:
        for network in member.spec.hosts.management:
            yield Rule(port, source(network), "ssh, management", first=True)


def _clients(member: Member) -> Iterator[Rule]:
    """Not where clients are on the host itself, as they are in single."""
    if "balancer" in member.machine.roles and not ipaddress.ip_address(member.spec.edge.address).is_loopback:
        for published in reach.published(member.spec):
            yield Rule(published.port, "", f"clients, {published.name}")


def _operators(member: Member) -> Iterator[Rule]:
    for edge in sorted(reach.edges(member.spec)):
        if edge.source == "operator" and _HOSTED[edge.target] in member.machine.roles:
            for network in member.spec.hosts.management:
                yield Rule(edge.port, source(network), f"{edge.target}, management")


def _peers(member: Member, seen: Seen) -> Iterator[Rule]:
    for edge in sorted(reach.edges(member.spec)):
        if edge.source not in _HOSTED or _HOSTED.get(edge.target) not in member.machine.roles:
            continue
        for peer in member.peers:
            if _HOSTED[edge.source] in peer.roles:
                for address in _addresses(peer.address, seen):
                    yield Rule(edge.port, address, f"{edge.target}, {edge.source} on {peer.address}")


def _addresses(name: str, seen: Seen) -> tuple[str, ...]:
    if _literal(name):
        return (source(name),)
    if found := seen.resolved.get(name):
        return tuple(map(source, found))
    raise Failure(
        f"hosts.machines: the host cannot find {name!r}; give an address, or put the name into its DNS or /etc/hosts"
    )


def _literal(name: str) -> bool:
    try:
        ipaddress.ip_address(name)
    except ValueError:
        return False
    return True
