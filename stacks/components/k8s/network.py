"""Who may speak to whom: nobody, but for the edges of stacks/reach.py."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Iterator
from typing import Final

from pulumi_kubernetes.meta.v1 import LabelSelectorArgs
from pulumi_kubernetes.networking import v1 as networking

from stacks import names, reach
from stacks.components.k8s.namespace import Scope
from stacks.spec import ROLES, Role

Peer = networking.NetworkPolicyPeerArgs

# Neither internet nor of anybody else: private, link-local (metadata of clouds) and carriers' networks.
_NOT_INTERNET: Final = ("10.0.0.0/8", "100.64.0.0/10", "169.254.0.0/16", "172.16.0.0/12", "192.168.0.0/16")
_NOT_INTERNET_6: Final = ("fc00::/7", "fe80::/10")
_DNS: Final = ("kube-dns", "node-local-dns")
# https://cert-manager.io/docs/configuration/acme/http01/: its pods, which answer for a while, are in our namespace.
_SOLVER: Final = LabelSelectorArgs(match_labels={"acme.cert-manager.io/http01-solver": "true"})
_SOLVER_PORT: Final = 8089
_NAMESPACE: Final = "kubernetes.io/metadata.name"


def network_policies(scope: Scope) -> list[networking.NetworkPolicy]:
    """Nothing for every pod of the namespace; then each role's edges."""
    nothing = networking.NetworkPolicy(
        "veloz-nothing",
        metadata=scope.metadata("veloz-nothing"),
        spec=networking.NetworkPolicySpecArgs(pod_selector=LabelSelectorArgs(), policy_types=["Ingress", "Egress"]),
        opts=scope.options,
    )
    solvers = [_solvers(scope)] if scope.spec.edge.tls.source == "issued" else []
    return [nothing, *(policy for role in scope.spec.roles for policy in _of(scope, role)), *solvers]


def _solvers(scope: Scope) -> networking.NetworkPolicy:
    """Who proves to the issuer that the host name is ours: asked by way of the ingress controller."""
    name = "veloz-acme"
    port = networking.NetworkPolicyPortArgs(port=_SOLVER_PORT, protocol="TCP")
    return networking.NetworkPolicy(
        name,
        metadata=scope.metadata(name),
        spec=networking.NetworkPolicySpecArgs(
            pod_selector=_SOLVER,
            policy_types=["Ingress", "Egress"],
            ingress=[networking.NetworkPolicyIngressRuleArgs(from_=peers(scope, "ingress"), ports=[port])],
        ),
        opts=scope.options,
    )


def _of(scope: Scope, role: Role) -> Iterator[networking.NetworkPolicy]:
    """One for each direction: of one for both, kube-router 2.11 takes the rules for who comes in for those of who goes out."""
    into, out_of = map(_sorted, reach.of(scope.spec, role))
    name = names.object_name(role)
    if into:
        rules = [networking.NetworkPolicyIngressRuleArgs(from_=peers(scope, e.source), ports=_ports(e)) for e in into]
        spec = networking.NetworkPolicySpecArgs(
            pod_selector=scope.selector(role), policy_types=["Ingress"], ingress=rules
        )
        yield _policy(scope, name, role, spec)
    if out_of:
        out = [networking.NetworkPolicyEgressRuleArgs(to=peers(scope, e.target), ports=_ports(e)) for e in out_of]
        spec = networking.NetworkPolicySpecArgs(pod_selector=scope.selector(role), policy_types=["Egress"], egress=out)
        yield _policy(scope, f"{name}-out", role, spec)


def _policy(scope: Scope, name: str, role: Role, spec: networking.NetworkPolicySpecArgs) -> networking.NetworkPolicy:
    return networking.NetworkPolicy(name, metadata=scope.metadata(name, role), spec=spec, opts=scope.options)


def _sorted(edges: Iterable[reach.Edge]) -> list[reach.Edge]:
    """Without the operator's: ports are forwarded by the node itself, which no policy stops."""
    return sorted(edge for edge in edges if edge.source != "operator")


def peers(scope: Scope, party: reach.Party) -> list[Peer] | None:
    """None is everybody."""
    if party in ROLES:
        return [Peer(pod_selector=scope.selector(party))]
    others: dict[str, list[Peer] | None] = {
        "clients": None,
        "internet": [_block("0.0.0.0/0", _NOT_INTERNET), _block("::/0", _NOT_INTERNET_6)],
        "dns": [*map(_name_server, _DNS), *map(_block, scope.spec.kubernetes.dns_networks)],
        "ingress": [
            Peer(namespace_selector=_namespace(scope.spec.kubernetes.ingress_namespace)),
            *map(_block, scope.spec.kubernetes.ingress_networks),
        ],
        "external_postgres": _host(scope.spec.postgres.host),
        "external_redis": _host(scope.spec.redis.host),
    }
    return others[party]


def _host(host: str) -> list[Peer] | None:
    """A policy knows no names: of an external store that has one, the port alone is known."""
    try:
        return [_block(str(ipaddress.ip_network(host)))]
    except ValueError:
        return None


def _name_server(app: str) -> Peer:
    return Peer(
        namespace_selector=_namespace("kube-system"), pod_selector=LabelSelectorArgs(match_labels={"k8s-app": app})
    )


def _namespace(name: str) -> LabelSelectorArgs:
    return LabelSelectorArgs(match_labels={_NAMESPACE: name})


def _block(network: str, but: Iterable[str] = ()) -> Peer:
    return Peer(ip_block=networking.IPBlockArgs(cidr=network, except_=list(but) or None))


def _ports(edge: reach.Edge) -> list[networking.NetworkPolicyPortArgs]:
    protocols = ("TCP", "UDP") if edge.target == "dns" else ("TCP",)
    return [networking.NetworkPolicyPortArgs(port=edge.port, protocol=protocol) for protocol in protocols]
