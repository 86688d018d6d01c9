"""Every rule between fields refuses a case of its own, by path, value, rule and remedy; what is valid passes them all."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from pathlib import Path
from types import FrameType
from typing import Any

import pytest
from hypothesis import given

from stacks import checks
from stacks.document import load
from stacks.refusals import SpecError
from stacks.spec import Deployment
from tests.stacks.strategies import deployments

KUBERNETES = {"topology": "kubernetes", "edge": {"hostname": "veloz.example.com"}}


def at(document: dict[str, Any], **sections: dict[str, Any]) -> dict[str, Any]:
    """The document with more in its sections."""
    return document | {name: document.get(name, {}) | value for name, value in sections.items()}


def single(**sections: dict[str, Any]) -> dict[str, Any]:
    return at({"topology": "single"}, **sections)


def compose(**sections: dict[str, Any]) -> dict[str, Any]:
    return at({"topology": "compose"}, **sections)


def kubernetes(**sections: dict[str, Any]) -> dict[str, Any]:
    return at(KUBERNETES, **sections)


def settings(**values: object) -> dict[str, Any]:
    return {"settings": values}


# What is wrong, the path of the refusal, words of its rule.
CASES: list[tuple[dict[str, Any], str, str]] = [
    # Bare hosts
    (
        compose(hosts={"install": "docker", "machines": [{"address": "a"}, {"address": "a", "roles": ["redis"]}]}),
        "hosts.machines",
        "must be named once",
    ),
    (compose(hosts={"machines": [{"address": "a", "roles": []}]}), "hosts.machines[0].roles", "what the host is for"),
    (
        compose(hosts={"machines": [{"address": "a", "roles": ["redis", "redis"]}]}),
        "hosts.machines[0].roles",
        "each role once",
    ),
    (compose(hosts={"management": ["192.0.2.1/24"]}), "hosts.management[0]", "without host bits"),
    (compose(hosts={"management": ["10.0.0.0/8", "::/0"]}), "hosts.management[1]", "must not be everybody"),
    (
        compose(hosts={"machines": [{"address": "a"}, {"address": "b"}]}),
        "hosts.install",
        "puts everything on one",
    ),
    # The edge
    (compose(edge={"kind": "ingress"}), "edge.kind", "an ingress is of a cluster"),
    (single(edge={"address": "0.0.0.0"}), "edge.address", "must be of loopback in single"),  # noqa: S104
    (single(edge={"tls": {"source": "generated"}}), "edge.tls.source", "must be none in single"),
    (
        kubernetes(edge={"tls": {"source": "issued", "issuer": "x"}}),
        "edge.tls.source",
        "cert-manager serves an ingress",
    ),
    (kubernetes(edge={"kind": "ingress", "tls": {"source": "issued"}}), "edge.tls.issuer", "is required"),
    (kubernetes(edge={"tls": {"source": "none"}}), "edge.tls.source", "reached over a network"),
    (
        compose(edge={"address": "192.0.2.1", "hostname": "a.b", "tls": {"source": "none"}}),
        "edge.tls.source",
        "at 192.0.2.1, which is not of this machine alone",
    ),
    (compose(edge={"address": "::", "hostname": "localhost"}), "edge.hostname", "must be the name that clients use"),
    ({"topology": "kubernetes"}, "edge.hostname", "must be the name that clients use"),
    (compose(edge={"http_port": 443}), "edge.https_port", "must not be edge.http_port"),
    (
        kubernetes(edge={"kind": "nginx"}, images={"nginx": "nginx:1.27.2"}),
        "images.nginx",
        "nginx 1.27.3 or later",
    ),
    (
        kubernetes(edge={"kind": "nginx"}, images={"nginx": "nginx@sha256:" + "0" * 64}),
        "images.nginx",
        "nginx 1.27.3 or later",
    ),
    (compose(edge={"kind": "haproxy"}, images={"haproxy": "haproxy:3.2.1"}), "images.haproxy", "before 3.2.2"),
    (kubernetes() | {"name": "kube-system"}, "name", "namespace that the cluster has itself"),
    (kubernetes() | {"name": "default"}, "name", "namespace that the cluster has itself"),
    # Addresses
    (compose(edge={"address": "1.2.3"}), "edge.address", "must be an address"),
    (compose(edge={"address": "2001:DB8:0::7"}), "edge.address", "must be in its usual form"),
    (compose(edge={"proxies": ["10.0.0.0/8", "10.0.0.1/8"]}), "edge.proxies[1]", "without host bits"),
    (compose(edge={"proxies": ["0.0.0.0/0"]}), "edge.proxies[0]", "must not be everybody"),
    (kubernetes(kubernetes={"pod_networks": ["::/0"]}), "kubernetes.pod_networks[0]", "must not be everybody"),
    (kubernetes(kubernetes={"pod_networks": []}), "kubernetes.pod_networks", "must name an IPv4 network"),
    (kubernetes(kubernetes={"pod_networks": ["fd00::/8"]}), "kubernetes.pod_networks", "must name an IPv4 network"),
    (kubernetes(kubernetes={"dns_networks": ["10.96.0.10/8"]}), "kubernetes.dns_networks[0]", "without host bits"),
    (
        kubernetes(kubernetes={"ingress_networks": ["10.9.0.0/24"]}),
        "kubernetes.ingress_networks",
        "needs edge.kind ingress",
    ),
    (
        kubernetes(edge={"kind": "ingress"}, kubernetes={"ingress_networks": ["0.0.0.0/0"]}),
        "kubernetes.ingress_networks[0]",
        "must not be everybody",
    ),
    (compose(docker={"subnet": "10.213.0.1/20"}), "docker.subnet", "IPv4 network without host bits"),
    (compose(docker={"subnet": "fd00::/48"}), "docker.subnet", "IPv4 network without host bits"),
    (compose(docker={"subnet": "100.64.0.0/20"}), "docker.subnet", "must be private"),
    (compose(docker={"subnet": "172.0.0.0/8"}), "docker.subnet", "must be private"),
    (compose(docker={"subnet": "10.213.0.0/22"}), "docker.subnet", "a /21 or larger, for 7 networks"),
    # Stores and monitoring
    (compose(postgres={"store": "embedded"}), "postgres.store", "must not be embedded but in single"),
    (compose(redis={"store": "embedded"}), "redis.store", "must not be embedded but in single"),
    (single(postgres={"store": "deployed"}), "postgres.store", "must be embedded in single"),
    (single(redis={"store": "external", "host": "r"}), "redis.store", "must be embedded in single"),
    (compose(postgres={"store": "external"}), "postgres.host", "is required where postgres.store is external"),
    (kubernetes(redis={"store": "external"}), "redis.host", "is required where redis.store is external"),
    (compose(monitoring={"prometheus": False}), "monitoring.grafana", "without monitoring.prometheus"),
    # 4 gateways x (8 + 6) connections and 3: 59.
    (
        compose(postgres={"max_connections": 58}),
        "postgres.max_connections",
        "must be at least 59: 3 gateways and one more",
    ),
    # As many as the autoscaler makes: 7 x 14 + 3.
    (kubernetes(postgres={"max_connections": 100}), "postgres.max_connections", "must be at least 101: 6 gateways"),
    (
        kubernetes(kubernetes={"max_replicas": 14}),
        "postgres.max_connections",
        "must be at least 213: 14 gateways",
    ),
    (
        single(gateways=settings(postgres_pool_max=93)),
        "gateways.settings.postgres_pool_max",
        "an embedded PostgreSQL has 200",
    ),
    (
        compose(postgres={"store": "external", "host": "127.0.0.1"}),
        "postgres.host",
        "is this machine to nobody but itself",
    ),
    (
        kubernetes(redis={"store": "external", "host": "localhost"}),
        "redis.host",
        "is this machine to nobody but itself",
    ),
    # A gateway's settings
    (compose(gateways=settings(port=1)), "gateways.settings.port", "follows from stacks/ports.py"),
    (compose(gateways=settings(postgres_dsn="x")), "gateways.settings.postgres_dsn", "follows from postgres"),
    (compose(gateways=settings(auth=False)), "gateways.settings.auth", "follows from every deployment's rule"),
    (compose(gateways=settings(rate_limit_kei=1)), "gateways.settings.rate_limit_kei", "is not a setting"),
    (compose(gateways=settings(rate_limit_key=-1)), "gateways.settings.rate_limit_key", "at least 0"),
    (compose(gateways=settings(market_source="binance")), "gateways.settings.market_source", "not available"),
    (kubernetes(gateways=settings(lease_ttl=0.2)), "gateways.settings.lease_renew", "must not be greater than"),
    (
        compose(gateways=settings(market_source="replay", replay_file=["/data/a.csv"])),
        "gateways.settings.market_source",
        "must not be replay with several gateways",
    ),
    (
        kubernetes(gateways={"replicas": 1} | settings(market_source="replay", replay_file=["/data/a.csv"])),
        "gateways.settings.market_source",
        "must not be replay with several gateways",
    ),
    (single(gateways=settings(market_source="replay")), "gateways.settings.replay_file", "is required for replay"),
    (compose(gateways={"stop_grace": 21}), "gateways.stop_grace", "at least the 22 s"),
    (compose(gateways=settings(drain_linger=0.9)), "gateways.settings.drain_linger", "at least 1 behind a balancer"),
    # Sizes
    (kubernetes(kubernetes={"max_replicas": 2}), "kubernetes.max_replicas", "must be at least gateways.replicas, 3"),
    (kubernetes(kubernetes={"node": {"cpu": 1499, "memory": 8192}}), "kubernetes.node.cpu", "1500: a pod of gateway"),
    (
        kubernetes(kubernetes={"node": {"cpu": 4000, "memory": 1535}}),
        "kubernetes.node.memory",
        "1536: a pod of gateway",
    ),
    # Of compose: 3 x (500 + 1000) + 500 + 1000 + 500 + 500 + 250; 3 x (512 + 1024) + 256 + 1024 + 512 + 256 + 256.
    (
        compose(docker={"capacity": {"cpu": 7249, "memory": 6912}}),
        "docker.capacity.cpu",
        "7250: all containers together",
    ),
    (
        compose(docker={"capacity": {"cpu": 7250, "memory": 6911}}),
        "docker.capacity.memory",
        "6912: all containers together",
    ),
    # Limits
    (compose(gateways=settings(drain_linger=0.9)), "edge", "The balancer's description is not valid"),
    (
        kubernetes(limits={"sysctls": {"net.core.somaxconn": "4096"}}),
        "limits.sysctls.net.core.somaxconn",
        "Pod Security",
    ),
    (compose(limits={"sysctls": {"vm.swappiness": "1"}}), "limits.sysctls.vm.swappiness", "its name must match"),
    (compose(limits={"sysctls": {"kernel.pid_max": "1"}}), "limits.sysctls.kernel.pid_max", "must be namespaced"),
    (
        compose(limits={"sysctls": {"net.ipv4.ip_local_port_range": "8443 65535"}}),
        "limits.sysctls.net.ipv4.ip_local_port_range",
        "both above 8443",
    ),
    # Images
    (compose(images={"redis": "redis:latest"}), "images.redis", "latest is none"),
    *(
        (compose(images={"registry": name}), "images.registry", "must be HOST[:PORT][/path] in small letters")
        for name in ("https://r.example.com/x", "r.example.com/x/", "r.example.com//x", "r.example.com/X", "r.io/x:1")
    ),
    *(
        (compose(images={field: name}), f"images.{field}", "must be an image as Docker writes it")
        for field in ("veloz", "redis")
        for name in ("https://r.example.com/redis:7", "a:1:2", "r.io//redis:7", "r.io/Redis:7", "r.io/redis:7@sha256:1")
    ),
    (compose(images={"redis": "registry:5000/redis"}), "images.redis", "a tag that begins with a version"),
    (compose(images={"veloz": "veloz"}), "images.veloz", "a tag that begins with a version"),
    (compose(images={"postgres": "postgres:15-alpine"}), "images.postgres", "its user is 70 instead of 999"),
    (kubernetes(images={"redis": "r:5000/redis:7.4-alpine3.22"}), "images.redis", "its group is 1000"),
    (compose(images={"nginx": "nginx:1.28.0-alpine-slim"}), "images.nginx", "it has no bash"),
    (kubernetes(edge={"kind": "haproxy"}, images={"haproxy": "haproxy:3.2.25-alpine"}), "images.haproxy", "no bash"),
    (single(images={"python": "python:3.11-alpine"}), "images.python", "built with apt-get"),
    # What has no effect
    (single(gateways={"replicas": 2}), "gateways.replicas", "must be 1 in single"),
    (single(monitoring={"prometheus": True}), "monitoring.prometheus", "needs more than single's one container"),
    (single(postgres={"max_connections": 300}), "postgres.max_connections", "follows from the gateway's pool"),
    (single(edge={"proxies": ["10.0.0.0/8"]}), "edge.proxies", "needs a balancer"),
    (compose(edge={"replicas": 3}), "edge.replicas", "concerns kubernetes alone"),
    (compose(kubernetes={"storage_class": "x"}), "kubernetes.storage_class", "concerns kubernetes alone"),
    (compose(images={"pull_secret": "x"}), "images.pull_secret", "concerns kubernetes alone"),
    (kubernetes(docker={"host": "unix:///x"}), "docker.host", "concerns single and compose alone"),
    (kubernetes(edge={"address": "192.0.2.1"}), "edge.address", "concerns single and compose alone"),
    (kubernetes(kubernetes={"ingress_class": "x"}), "kubernetes.ingress_class", "needs edge.kind ingress"),
    (kubernetes(edge={"kind": "ingress", "http_port": 81}), "edge.http_port", "needs a balancer"),
    (kubernetes(edge={"tls": {"issuer": "x"}}), "edge.tls.issuer", "needs edge.tls.source issued"),
    (compose(edge={"tls": {"source": "none", "hsts_seconds": 1}}), "edge.tls.hsts_seconds", "needs TLS"),
    (compose(monitoring={"prometheus": False, "grafana": False, "keep_days": 1}), "monitoring.keep_days", "needs"),
    (compose(postgres={"host": "x"}), "postgres.host", "needs postgres.store external"),
    (compose(redis={"port": 1}), "redis.port", "needs redis.store external"),
    (compose(images={"veloz": "veloz:1", "registry": "r"}), "images.registry", "nothing to push"),
]


@pytest.mark.parametrize(("document", "path", "words"), CASES, ids=[f"{case[1]}-{n}" for n, case in enumerate(CASES)])
def test_it_is_refused(document: dict[str, Any], path: str, words: str) -> None:
    with pytest.raises(SpecError) as refused:
        load(document)
    found = [refusal for refusal in refused.value.refusals if refusal.path == path and words in refusal.rule]
    assert len(found) == 1, str(refused.value)
    assert found[0].remedy
    assert len({str(refusal) for refusal in refused.value.refusals}) == len(refused.value.refusals)


def _sites() -> Iterator[tuple[str, int]]:
    """Where the rules are: every line that makes a Refusal."""
    for file in Path(checks.__file__).parent.glob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id == "Refusal":
                yield file.name, node.lineno


def test_every_rule_has_a_case() -> None:
    ran: set[tuple[str, int]] = set()
    folder = str(Path(checks.__file__).parent)

    def trace(frame: FrameType, event: str, _: object) -> Any:  # noqa: ANN401 - as sys.settrace has it
        if not frame.f_code.co_filename.startswith(folder):
            return None
        if event == "line":
            ran.add((Path(frame.f_code.co_filename).name, frame.f_lineno))
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        for document, _, _ in CASES:
            with pytest.raises(SpecError):
                load(document)
    finally:
        sys.settrace(before)
    sites = set(_sites())
    assert len(sites) > 25
    assert sites - ran == set()


def test_all_that_is_wrong_is_said_at_once() -> None:
    document = {
        "topology": "compose",
        "gateways": {"replicas": 50, "settings": {"rate_limit_kei": 1}},
        "edge": {"address": "0.0.0.0", "proxies": ["0.0.0.0/0"]},  # noqa: S104
        "docker": {"subnet": "8.8.0.0/30"},
        "images": {"grafana": "grafana"},
    }
    with pytest.raises(SpecError) as refused:
        load(document)
    paths = {refusal.path for refusal in refused.value.refusals}
    assert {
        "gateways.settings.rate_limit_kei",
        "edge.hostname",
        "edge.proxies[0]",
        "docker.subnet",
        "images.grafana",
    } <= paths


@given(deployments())
def test_what_is_valid_passes(spec: Deployment) -> None:
    assert list(checks.problems(spec)) == []
