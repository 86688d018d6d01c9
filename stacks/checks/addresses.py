"""Addresses and networks: what they must be, and that none of them is everybody."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterator
from typing import Final

from stacks.names import NETWORKS, SUBNET_PREFIX
from stacks.refusals import Refusal
from stacks.spec import Deployment

# RFC 1918
_PRIVATE: Final = tuple(map(ipaddress.IPv4Network, ("10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16")))


def problems(spec: Deployment) -> Iterator[Refusal]:
    yield from _edge(spec.edge.address)
    cluster = spec.kubernetes
    trusted = {
        "edge.proxies": spec.edge.proxies,
        "kubernetes.pod_networks": cluster.pod_networks,
        "kubernetes.ingress_networks": cluster.ingress_networks,
    }
    for path, every in trusted.items():
        for number, network in enumerate(every):
            yield from _believed(f"{path}[{number}]", network)
    for number, network in enumerate(cluster.dns_networks):
        yield from _network(f"kubernetes.dns_networks[{number}]", network)
    if spec.topology == "kubernetes" and not any(map(_is_4, cluster.pod_networks)):
        rule = "must name an IPv4 network: gateways listen on IPv4, and believe its pods about clients' addresses"
        have = ", ".join(cluster.pod_networks)
        yield Refusal("kubernetes.pod_networks", f"[{have}]", rule, "write the cluster's, e.g. [10.244.0.0/16]")
    yield from _subnet(spec)


def _edge(text: str) -> Iterator[Refusal]:
    """In the form that hosts and Docker write, by which ports that are taken are found."""
    try:
        usual = str(ipaddress.ip_address(text))
    except ValueError:
        yield Refusal("edge.address", text, "must be an address", "write 127.0.0.1, or 0.0.0.0 for all")
        return
    if text != usual:
        yield Refusal("edge.address", text, "must be in its usual form", f"write {usual}")


def _is_4(network: str) -> bool:
    """What is no network at all is told of by its own rule."""
    return ":" not in network


def _network(path: str, network: str) -> Iterator[Refusal]:
    try:
        ipaddress.ip_network(network)
    except ValueError:
        yield Refusal(path, network, "must be a network without host bits", "write e.g. 10.0.0.0/8")


def _believed(path: str, network: str) -> Iterator[Refusal]:
    if wrong := list(_network(path, network)):
        yield from wrong
    elif ipaddress.ip_network(network).prefixlen == 0:
        yield Refusal(path, network, "must not be everybody: what they say of clients is believed", "name a network")


def _subnet(spec: Deployment) -> Iterator[Refusal]:
    path, text = "docker.subnet", spec.docker.subnet
    remedy = "write e.g. 10.213.0.0/20"
    try:
        network = ipaddress.IPv4Network(text)
    except ValueError:
        yield Refusal(path, text, "must be an IPv4 network without host bits", remedy)
        return
    if not any(network.subnet_of(private) for private in _PRIVATE):
        yield Refusal(path, text, "must be private (RFC 1918)", remedy)
    if network.prefixlen > SUBNET_PREFIX:
        rule = f"must be a /{SUBNET_PREFIX} or larger, for {len(NETWORKS)} networks of a /24"
        yield Refusal(path, text, rule, remedy)
