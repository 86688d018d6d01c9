"""The table of who may reach whom: complete, typed here as data, and nothing beyond it."""

from __future__ import annotations

from hypothesis import given

from stacks import ports, reach
from stacks.reach import Edge
from stacks.spec import Deployment, Gateways, Monitoring, Postgres, Redis, Tls
from stacks.spec import Edge as EdgeSpec
from tests.stacks.strategies import deployments

INSIDE = {
    Edge("balancer", "gateway", 8080),
    Edge("gateway", "gateway", 8080),
    Edge("gateway", "postgres", 5432),
    Edge("gateway", "redis", 6379),
    Edge("prometheus", "gateway", 8080),
    Edge("grafana", "prometheus", 9090),
    Edge("operator", "prometheus", 9090),
    Edge("operator", "grafana", 3000),
}
CLIENTS = {Edge("clients", "balancer", 8080), Edge("clients", "balancer", 8443)}
NAMES = {Edge(role, "dns", 53) for role in ("balancer", "gateway", "prometheus", "grafana")}


def test_single_has_one_door() -> None:
    spec = Deployment(topology="single", edge=EdgeSpec(http_port=9999, tls=Tls(source="none")))
    assert reach.edges(spec) == {Edge("clients", "gateway", 8080)}
    assert reach.published(spec) == (("http", 9999, 8080),)


def test_compose() -> None:
    spec = Deployment(topology="compose")
    assert reach.edges(spec) == INSIDE | CLIENTS
    assert reach.published(spec) == (("http", 80, 8080), ("https", 443, 8443))


def test_kubernetes_asks_for_names_besides() -> None:
    assert reach.edges(Deployment(topology="kubernetes")) == INSIDE | CLIENTS | NAMES


def test_an_ingress_stands_where_the_balancer_stood() -> None:
    spec = Deployment(topology="kubernetes", edge=EdgeSpec(kind="ingress"))
    balancers = {edge for edge in INSIDE | NAMES if edge.source == "balancer"}
    assert reach.edges(spec) == (INSIDE | NAMES | {Edge("ingress", "gateway", 8080)}) - balancers
    assert reach.published(spec) == ()


def test_without_tls_there_is_no_port_for_it() -> None:
    spec = Deployment(topology="compose", edge=EdgeSpec(tls=Tls(source="none")))
    assert reach.published(spec) == (("http", 80, 8080),)
    assert Edge("clients", "balancer", 8443) not in reach.edges(spec)


def test_external_stores_and_venues_are_reached_by_gateways_alone() -> None:
    spec = Deployment(
        topology="compose",
        gateways=Gateways(egress=True),
        postgres=Postgres(store="external", host="db", port=6432),
        redis=Redis(store="external", host="cache", port=6380),
        monitoring=Monitoring(prometheus=False, grafana=False),
    )
    assert reach.edges(spec) == CLIENTS | {
        Edge("balancer", "gateway", 8080),
        Edge("gateway", "gateway", 8080),
        Edge("gateway", "external_postgres", 6432),
        Edge("gateway", "external_redis", 6380),
        Edge("gateway", "internet", 443),
    }


@given(deployments())
def test_every_role_there_is_stands_in_the_table_and_no_other(spec: Deployment) -> None:
    outside = {"clients", "operator", "ingress", "dns", "internet", "external_postgres", "external_redis"}
    parties = {party for edge in reach.edges(spec) for party in edge[:2]}
    assert parties - outside == set(spec.roles)


@given(deployments())
def test_clients_reach_what_is_published_and_nothing_else(spec: Deployment) -> None:
    targets = {port.target for port in reach.published(spec)}
    assert {edge.port for edge in reach.edges(spec) if edge.source == "clients"} == targets
    for edge in reach.edges(spec):
        if edge.target in {"postgres", "redis"}:
            assert edge.source == "gateway"


def test_a_roles_edges_are_those_into_it_and_out_of_it() -> None:
    into, out = reach.of(Deployment(topology="compose"), "prometheus")
    assert into == {Edge("operator", "prometheus", 9090), Edge("grafana", "prometheus", 9090)}
    assert out == {Edge("prometheus", "gateway", 8080)}


def test_ports_are_the_documents() -> None:
    assert (ports.GATEWAY, ports.PROMETHEUS, ports.GRAFANA, ports.REDIS, ports.POSTGRES) == (
        8080,
        9090,
        3000,
        6379,
        5432,
    )
