"""A deployment's balancer follows from its description."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import HealthCheck, given, settings

from app.settings import Settings
from stacks import edge, names, ports
from stacks.balancer import Balancer, BalancerError, problems, render
from stacks.sizes import PROFILES, Profile
from stacks.spec import Deployment, Edge, Gateways, Kubernetes, Tls
from tests.stacks.strategies import deployments

COMPOSE = Deployment(topology="compose")
KUBERNETES = Deployment(topology="kubernetes", edge=Edge(kind="haproxy", hostname="veloz.example.com"))


@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
@given(spec=deployments())
def test_every_description_has_a_balancer_that_makes_sense_or_none_of_its_own(spec: Deployment) -> None:
    if spec.replicas("balancer") == 0:
        with pytest.raises(BalancerError, match="has no balancer"):
            edge.balancer(spec)
        return
    model = edge.balancer(spec)
    assert list(problems(model)) == []
    assert edge.configuration(spec)[0] == ("nginx.conf" if spec.edge.kind == "nginx" else "haproxy.cfg")
    assert bool(model.tls) == spec.encrypted
    assert model.proxies == spec.edge.proxies


def test_in_compose_it_has_the_gateways_by_their_addresses_and_listens_where_it_is_published() -> None:
    model = edge.balancer(COMPOSE)
    assert [server.name for server in model.gateways] == ["gateway-1", "gateway-2", "gateway-3"]
    assert [server.host for server in model.gateways] == [names.host(COMPOSE, "gateway", n) for n in (1, 2, 3)]
    assert {server.port for server in model.gateways} == {ports.GATEWAY}
    assert model.host == names.listen(COMPOSE, "balancer")
    assert model.tls is not None
    assert (model.port, model.tls.port) == (ports.BALANCER_HTTP, ports.BALANCER_HTTPS)
    assert model.health is not None
    assert model.health.host == "127.0.0.1"


def test_clients_are_sent_to_the_port_that_they_know() -> None:
    spec = msgspec.structs.replace(COMPOSE, edge=Edge(https_port=8443, hostname="veloz.example.com"))
    for kind in ("nginx", "haproxy"):
        assert "https://veloz.example.com:8443" in render(edge.balancer(spec), kind)


def test_on_kubernetes_it_follows_the_headless_service_and_has_room_for_an_update() -> None:
    model = edge.balancer(KUBERNETES)
    assert model.gateways == ()
    assert model.discovery is not None
    assert model.discovery.name == "veloz-gateway.veloz.svc.cluster.local"
    assert model.discovery.most >= 2 * KUBERNETES.most_gateways
    assert model.health is not None
    assert model.health.host == "0.0.0.0"  # noqa: S104 - a pod's, for the kubelet
    most = msgspec.structs.replace(KUBERNETES, kubernetes=Kubernetes(max_replicas=50))
    assert list(problems(edge.balancer(most))) == []


def test_what_gateways_are_told_the_balancer_knows() -> None:
    told: dict[str, float] = {"order_timeout": 1.2, "header_timeout": 3.0, "stream_heartbeat": 2.0, "drain_linger": 5.0}
    model = edge.balancer(msgspec.structs.replace(COMPOSE, gateways=Gateways(settings=dict(told))))
    assert {name: getattr(model, name) for name in told} == told
    silent = edge.balancer(COMPOSE)
    defaults = Settings(postgres_dsn="")
    for name in told:
        assert getattr(silent, name) == getattr(defaults, name)


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("kind", ["nginx", "haproxy"])
def test_its_memory_holds_a_thousand_slow_clients_and_as_many_others(profile: Profile, kind: str) -> None:
    spec = msgspec.structs.replace(COMPOSE, profile=profile, edge=msgspec.convert({"kind": kind}, Edge))
    model: Balancer = edge.balancer(spec)
    assert model.connections * (model.workers if kind == "nginx" else 1) >= 2000
    assert model.open_files <= spec.limits.open_files


def test_without_tls_there_is_one_listener_for_clients() -> None:
    spec = msgspec.structs.replace(COMPOSE, edge=Edge(tls=Tls(source="none")))
    assert edge.balancer(spec).tls is None


@pytest.mark.parametrize(
    ("image", "expected"),
    [("nginx:1.28.0-bookworm", True), ("nginx:1.22.1", False), ("registry:5000/nginx:stable", False)],
)
def test_the_configuration_is_for_the_program_of_the_image(image: str, expected: bool) -> None:  # noqa: FBT001
    images = msgspec.structs.replace(COMPOSE.images, nginx=image)
    _, text = edge.configuration(msgspec.structs.replace(COMPOSE, images=images))
    assert ("keepalive_min_timeout" in text) == expected
