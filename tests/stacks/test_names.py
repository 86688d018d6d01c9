"""Names and addresses: each container its own, in networks where everybody has business with everybody."""

from __future__ import annotations

import ipaddress
import re
from itertools import combinations

from hypothesis import given

from app import __version__
from stacks import names, reach
from stacks.spec import Deployment, Docker, Gateways, Postgres, Redis
from tests.stacks.strategies import deployments

COMPOSE = Deployment(topology="compose")
DNS_LABEL = re.compile(r"[a-z]([a-z0-9-]{0,61}[a-z0-9])?")


def test_networks_of_compose_and_who_is_in_them() -> None:
    assert {network: names.members(COMPOSE, network) for network in names.networks(COMPOSE)} == {
        "edge": ("balancer",),
        "app": ("balancer", "gateway", "prometheus"),
        "data": ("gateway", "postgres"),
        "cache": ("gateway", "redis"),
        "monitoring": ("prometheus", "grafana"),
        "panel": ("grafana",),
    }


def test_only_the_balancers_own_network_has_a_way_out() -> None:
    assert [network for network in names.networks(COMPOSE) if not names.internal(network)] == ["edge"]


def test_gateways_have_a_way_out_when_they_need_one() -> None:
    for spec in (
        Deployment(topology="compose", gateways=Gateways(egress=True)),
        Deployment(topology="compose", postgres=Postgres(store="external", host="db")),
        Deployment(topology="compose", redis=Redis(store="external", host="cache")),
    ):
        assert names.members(spec, "egress") == ("gateway",)
        assert not names.internal("egress")


def test_single_has_one_network() -> None:
    spec = Deployment(topology="single")
    assert names.networks(spec) == ("edge",)
    assert names.members(spec, "edge") == ("gateway",)


def test_addresses_come_from_the_descriptions_subnet() -> None:
    spec = Deployment(topology="compose", docker=Docker(subnet="172.20.16.0/21"))
    assert names.subnet(spec, "app") == "172.20.17.0/24"
    assert names.address(spec, "app", "balancer") == "172.20.17.2"
    assert names.address(spec, "app", "gateway", 3) == "172.20.17.13"


@given(deployments("compose"))
def test_no_address_is_given_twice_and_none_is_the_bridges(spec: Deployment) -> None:
    given: list[str] = []
    for network in names.networks(spec):
        subnet = ipaddress.IPv4Network(names.subnet(spec, network))
        assert subnet.subnet_of(ipaddress.IPv4Network(spec.docker.subnet))
        for role in names.members(spec, network):
            for replica in range(1, spec.replicas(role) + 1):
                address = names.address(spec, network, role, replica)
                assert ipaddress.IPv4Address(address) in subnet
                assert address not in {str(subnet[0]), str(subnet[1]), str(subnet[-1])}
                given.append(address)
    assert len(set(given)) == len(given)


@given(deployments("compose"))
def test_in_a_bridge_nobody_listens_for_whom_it_has_no_business_with(spec: Deployment) -> None:
    """Without a filter all in a bridge reach what binds to an address in it."""
    edges = {(edge.source, edge.target) for edge in reach.edges(spec)}
    possible = set()
    for network in names.networks(spec):
        subnet = ipaddress.IPv4Network(names.subnet(spec, network))
        roles = [role for role in names.members(spec, network) for _ in range(spec.replicas(role))]
        for one, other in combinations(roles, 2):
            for source, target in ((one, other), (other, one)):
                if ipaddress.IPv4Address(names.listen(spec, target)) in subnet:
                    possible.add((source, target))
    parties = set(spec.roles)
    declared = {(source, target) for source, target in edges if {source, target} <= parties}
    if spec.gateways.replicas == 1:
        declared.discard(("gateway", "gateway"))
    assert possible == declared


@given(deployments())
def test_names_fit_docker_and_dns(spec: Deployment) -> None:
    for role in spec.roles:
        assert DNS_LABEL.fullmatch(names.object_name(role))
        for replica in (0, 50):
            assert DNS_LABEL.fullmatch(names.container(spec, role, replica))
    assert DNS_LABEL.fullmatch(names.volume(spec, "postgres-data"))


def test_containers_and_volumes_begin_with_the_deployments_name() -> None:
    spec = Deployment(topology="compose", name="blue")
    assert names.container(spec, "gateway", 2) == "blue-gateway-2"
    assert names.container(spec, "balancer-config") == "blue-balancer-config"
    assert names.volume(spec, "postgres-data") == "blue-postgres-data"
    assert names.network(spec, "app") == "blue-app"
    assert names.labels(spec, "gateway") == {
        "io.veloz.deployment": "blue",
        "io.veloz.role": "gateway",
    }


def test_a_selector_says_nothing_that_changes() -> None:
    spec = Deployment(topology="kubernetes")
    assert __version__ not in names.selector(spec, "gateway").values()
    assert names.selector(spec, "gateway").items() <= names.kubernetes_labels(spec, "gateway").items()


def test_stores_are_where_the_description_says() -> None:
    external = Deployment(
        topology="kubernetes",
        name="blue",
        postgres=Postgres(store="external", host="db.example.com", port=6432),
    )
    assert (names.host(external, "postgres"), names.postgres_port(external)) == ("db.example.com", 6432)
    assert (names.host(external, "redis"), names.redis_port(external)) == ("veloz-redis.blue.svc.cluster.local", 6379)
    assert (names.host(COMPOSE, "postgres"), names.postgres_port(COMPOSE)) == ("10.213.2.3", 5432)
