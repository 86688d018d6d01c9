"""Policies let through exactly the table's edges."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from stacks import names, reach
from stacks.spec import ROLES, Deployment
from tests.stacks.manifests import Manifests, Object, example, manifests, role_of

HOSTNAME = {"hostname": "veloz.example.com"}
DESCRIPTIONS: dict[str, dict[str, Any]] = {
    "usual": {},
    "nginx": {"edge": HOSTNAME | {"kind": "nginx"}},
    "ingress": {"edge": HOSTNAME | {"kind": "ingress"}, "kubernetes": {"ingress_namespace": "front"}},
    "egress": {"gateways": {"egress": True}},
    "external": {
        "postgres": {"store": "external", "host": "db.example.com", "port": 6432},
        "redis": {"store": "external", "host": "192.0.2.7"},
    },
    "unwatched": {"monitoring": {"prometheus": False, "grafana": False}},
}


OF_NO_ROLE = {"veloz-nothing", "veloz-acme"}


def party(spec: Deployment, peers: list[Object] | None, port: int, *, into: bool) -> str:  # noqa: PLR0911
    """Who is meant; what nobody of the table would write is a party of its own."""
    if not into and (peers is None or _address(peers) in {spec.postgres.host, spec.redis.host}):
        return "external_postgres" if port == spec.postgres.port else "external_redis"
    if peers is None:
        return "clients"
    for role in ROLES:
        if peers == [{"podSelector": {"matchLabels": names.selector(spec, role)}}]:
            return role
    dns = {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "kube-system"}}}
    match peers:
        case [
            {"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}, **more},
            *networks,
        ] if not more:
            named = [{"ipBlock": {"cidr": network}} for network in spec.kubernetes.ingress_networks]
            return "ingress" if (namespace, networks) == (spec.kubernetes.ingress_namespace, named) else str(peers)
        case [{"ipBlock": {"cidr": "0.0.0.0/0", "except": four}}, {"ipBlock": {"cidr": "::/0", "except": six}}]:
            assert {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16"} <= set(four)
            assert {"fc00::/7", "fe80::/10"} <= set(six)
            return "internet"
        case [pods, cache, *networks] if "podSelector" in pods and "podSelector" in cache:
            assert pods == dns | {"podSelector": {"matchLabels": {"k8s-app": "kube-dns"}}}
            assert cache == dns | {"podSelector": {"matchLabels": {"k8s-app": "node-local-dns"}}}
            assert networks == [{"ipBlock": {"cidr": network}} for network in spec.kubernetes.dns_networks]
            return "dns"
    return str(peers)


def _address(peers: list[Object]) -> str:
    """Of peers that are one address."""
    match peers:
        case [{"ipBlock": {"cidr": cidr}}]:
            return str(cidr).removesuffix("/32")
    return "none"


def allowed(spec: Deployment, declared: Manifests) -> Iterator[tuple[reach.Edge, str]]:
    """Every edge that a policy lets through, with its protocol, seen from either end."""
    for policy in declared.of("NetworkPolicy"):
        if policy["metadata"]["name"] in OF_NO_ROLE:
            continue
        role = role_of(policy)
        assert policy["spec"]["podSelector"] == {"matchLabels": names.selector(spec, role)}  # type: ignore[arg-type]
        for direction, peers in (("ingress", "from"), ("egress", "to")):
            for rule in policy["spec"].get(direction, []):
                assert rule["ports"], "a rule without ports is for every port"
                for port in rule["ports"]:
                    other = party(spec, rule.get(peers), port["port"], into=direction == "ingress")
                    ends = (other, role) if direction == "ingress" else (role, other)
                    yield reach.Edge(*ends, port["port"]), port["protocol"]  # type: ignore[arg-type]


@pytest.mark.parametrize("name", DESCRIPTIONS)
def test_the_edges_are_the_tables(name: str) -> None:
    spec = example(**DESCRIPTIONS[name])
    seen = list(allowed(spec, manifests(spec)))
    declared = {edge for edge in reach.edges(spec) if edge.source != "operator"}
    assert {edge for edge, _ in seen} == declared
    # Both ends of a connection must be allowed where both are of the deployment.
    ends = [edge for edge, protocol in seen if protocol == "TCP"]
    for edge in declared:
        assert ends.count(edge) == sum(party in ROLES for party in (edge.source, edge.target)), edge
    assert {edge.target for edge, protocol in seen if protocol == "UDP"} <= {"dns"}


@pytest.mark.parametrize("name", DESCRIPTIONS)
def test_what_no_policy_names_is_refused_both_ways(name: str) -> None:
    spec = example(**DESCRIPTIONS[name])
    declared = manifests(spec)
    everybody = declared.named("NetworkPolicy", "veloz-nothing")["spec"]
    assert everybody == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    one_role = [found for found in declared.of("NetworkPolicy") if found["metadata"]["name"] not in OF_NO_ROLE]
    for policy in one_role:  # each one direction, with rules of that one alone
        (direction,) = policy["spec"]["policyTypes"]
        assert policy["spec"].keys() == {"podSelector", "policyTypes", direction.lower()}
    roles = {role_of(found) for found in one_role}
    assert roles == declared.pods().keys()


def test_an_edge_that_is_not_in_the_table_would_be_noticed() -> None:
    spec = example()
    declared = manifests(spec)
    policy = declared.named("NetworkPolicy", "veloz-postgres")
    policy["spec"]["ingress"].append({"ports": [{"port": 5432, "protocol": "TCP"}]})
    assert {edge for edge, _ in allowed(spec, declared)} - reach.edges(spec)


def test_the_issuer_reaches_the_pod_that_proves_the_host_name_and_nobody_else_does() -> None:
    """cert-manager's, in our namespace while a certificate is asked for."""
    issued = {"kind": "ingress", "hostname": "v.example.com", "tls": {"source": "issued", "issuer": "x"}}
    spec = example(edge=issued, kubernetes={"ingress_networks": ["192.0.2.0/24"]})
    solvers = manifests(spec).named("NetworkPolicy", "veloz-acme")["spec"]
    assert solvers["podSelector"] == {"matchLabels": {"acme.cert-manager.io/http01-solver": "true"}}
    assert set(solvers["policyTypes"]) == {"Ingress", "Egress"}
    assert not solvers.get("egress")
    (rule,) = solvers["ingress"]
    assert rule["ports"] == [{"port": 8089, "protocol": "TCP"}]
    assert party(spec, rule["from"], 8089, into=True) == "ingress"
    provided = example(edge=issued | {"tls": {"source": "provided"}})
    assert "veloz-acme" not in {each["metadata"]["name"] for each in manifests(provided).of("NetworkPolicy")}


def test_stores_open_no_connection() -> None:
    declared = manifests(example())
    for role in ("postgres", "redis"):
        of_role = [
            found for found in declared.of("NetworkPolicy") if found["metadata"]["name"].startswith(f"veloz-{role}")
        ]
        assert [found["spec"]["policyTypes"] for found in of_role] == [["Ingress"]]
