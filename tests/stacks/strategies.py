"""Descriptions that are valid, of all three topologies: as a stack file has them, and loaded."""

from __future__ import annotations

from typing import Any, get_args

from hypothesis import strategies as st

from stacks.document import load
from stacks.sizes import Component
from stacks.spec import Deployment, Topology

DIGEST = "@sha256:" + "0123456789abcdef" * 4
# Within 200 connections for the most gateways that are drawn.
_MOST = 6
_POOL = 20

names = st.from_regex(r"[a-z]([a-z0-9-]{0,12}[a-z0-9])?", fullmatch=True).filter(
    lambda name: not name.startswith(("default", "kube-"))
)
hosts = st.sampled_from(["db.example.com", "10.1.2.3", "store-1"])
changes = st.dictionaries(
    st.sampled_from(get_args(Component)),
    st.fixed_dictionaries(
        {},
        optional={
            "cpu": st.integers(50, 8000),
            "memory": st.integers(32, 8192),
            "disk": st.integers(32, 65_536),
        },
    ),
    max_size=3,
)
settings = st.fixed_dictionaries(
    {},
    optional={
        "postgres_pool_max": st.integers(1, _POOL),
        "market_symbol": st.lists(st.sampled_from(["BTCUSDT", "ETHUSDT"]), min_size=1, unique=True),
        "rate_limit_key": st.integers(0, 10_000),
        "drain_timeout": st.sampled_from([2, 5.5, 12]),
        "drain_linger": st.sampled_from([1, 7.0, 8]),
        "order_timeout": st.floats(0.5, 1.9),
        "log_level": st.sampled_from(["DEBUG", "INFO"]),
        "verify_from_start": st.booleans(),
    },
)


def stores(port: int) -> st.SearchStrategy[dict[str, Any]]:
    return st.one_of(
        st.just({}),
        st.just({"store": "deployed"}),
        st.fixed_dictionaries({"store": st.just("external"), "host": hosts}, optional={"port": st.just(port + 1)}),
    )


monitoring = st.one_of(
    st.fixed_dictionaries({"prometheus": st.just(True), "grafana": st.booleans()}, optional={"keep_days": st.just(7)}),
    st.just({"prometheus": False, "grafana": False}),
)
images = st.fixed_dictionaries(
    {},
    optional={
        "veloz": st.sampled_from(["registry.example.com/veloz:0.1.0", f"veloz{DIGEST}"]),
        "postgres": st.sampled_from(["registry:5000/postgres:16.9", f"postgres{DIGEST}"]),
        "nginx": st.sampled_from(["nginx:1.29.1", "registry.example.com/nginx:1.27.3-bookworm" + DIGEST]),
    },
)


@st.composite
def _single(draw: st.DrawFn) -> dict[str, Any]:
    return {
        "gateways": draw(st.fixed_dictionaries({}, optional={"settings": settings, "egress": st.booleans()})),
        "edge": draw(
            st.fixed_dictionaries(
                {},
                optional={
                    "http_port": st.integers(1, 65_535),
                    "address": st.sampled_from(["127.0.0.1", "127.0.0.9", "::1"]),
                },
            )
        ),
    }


@st.composite
def _compose(draw: st.DrawFn) -> dict[str, Any]:
    ports = draw(st.lists(st.integers(1, 65_535), min_size=2, max_size=2, unique=True))
    edge: dict[str, Any] = {"kind": draw(st.sampled_from(["nginx", "haproxy"])), "http_port": ports[0]}
    local = draw(st.booleans())
    if not local:
        everywhere = "0.0.0.0"  # noqa: S104 - that it is refused without TLS is tested
        edge |= {"address": draw(st.sampled_from([everywhere, "192.0.2.7", "::"])), "hostname": "veloz.example.com"}
    source = draw(st.sampled_from(["generated", "provided", *(["none"] if local else [])]))
    edge |= {"https_port": ports[1], "tls": {"source": source}}
    if draw(st.booleans()):
        edge["proxies"] = ["192.0.2.0/24", "2001:db8::/32"]
    return {
        "gateways": {
            "replicas": draw(st.integers(1, _MOST)),
            "settings": draw(settings),
            "egress": draw(st.booleans()),
            "drain_policy": draw(st.sampled_from(["hold", "cancel"])),
        },
        "edge": edge,
        "postgres": draw(stores(5432)),
        "redis": draw(stores(6379)),
        "monitoring": draw(monitoring),
        "docker": draw(
            st.fixed_dictionaries({}, optional={"subnet": st.sampled_from(["172.20.0.0/16", "192.168.8.0/21"])})
        ),
    }


@st.composite
def _kubernetes(draw: st.DrawFn) -> dict[str, Any]:
    edge: dict[str, Any] = {
        "kind": draw(st.sampled_from(["haproxy", "nginx", "ingress"])),
        "hostname": draw(st.sampled_from(["veloz.example.com", "a.b"])),
        "tls": {"source": draw(st.sampled_from(["generated", "provided"]))},
    }
    cluster: dict[str, Any] = {"pod_networks": draw(st.sampled_from([["10.244.0.0/16"], ["10.0.0.0/8", "fd00::/8"]]))}
    if edge["kind"] == "ingress":
        cluster |= {"ingress_class": "nginx"}
        if draw(st.booleans()):
            edge["tls"] = {"source": "issued", "issuer": "letsencrypt"}
    else:
        edge |= {"replicas": draw(st.integers(1, 3)), "http_port": 8000, "https_port": 8443}
    replicas = draw(st.integers(1, 3))
    cluster["max_replicas"] = draw(st.sampled_from([0, replicas, _MOST]))
    if draw(st.booleans()):
        cluster |= {"cpu_burst": draw(st.integers(1, 4))}
    if draw(st.booleans()):
        cluster |= {"storage_class": "fast", "dns_domain": "corp.example", "node": {"cpu": 64_000, "memory": 131_072}}
    return {
        "gateways": {"replicas": replicas, "settings": draw(settings), "egress": draw(st.booleans())},
        "edge": edge,
        "postgres": draw(stores(5432)),
        "redis": draw(stores(6379)),
        "monitoring": draw(monitoring),
        "kubernetes": cluster,
    }


_TOPOLOGIES: dict[Topology, st.SearchStrategy[dict[str, Any]]] = {
    "single": _single(),
    "compose": _compose(),
    "kubernetes": _kubernetes(),
}


@st.composite
def documents(draw: st.DrawFn, *topologies: Topology) -> dict[str, Any]:
    """What stands under `veloz:deployment`; of any topology when none is named."""
    topology = draw(st.sampled_from(topologies or get_args(Topology)))
    common = st.fixed_dictionaries(
        {},
        optional={
            "name": names,
            "profile": st.sampled_from(["minimum", "recommended"]),
            "sizes": changes,
            "images": images,
        },
    )
    return {"topology": topology} | draw(common) | draw(_TOPOLOGIES[topology])


def deployments(*topologies: Topology) -> st.SearchStrategy[Deployment]:
    """Valid descriptions, every rule passed."""
    return documents(*topologies).map(load)
