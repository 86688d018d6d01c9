"""The pre-flight's judgement, on hosts and clusters that are given; and of real ones that are not there."""

from __future__ import annotations

import socket
from hashlib import sha256
from pathlib import Path
from typing import Any

import msgspec
import pytest

from stacks.commands import (
    cluster_facts,
    cluster_findings,
    docker_facts,
    docker_findings,
    findings,
    listeners,
    preflight,
)
from stacks.commands.certificates import generate
from stacks.commands.cluster_facts import Node
from stacks.commands.docker_facts import Container
from stacks.commands.failures import Failure
from stacks.commands.findings import Finding
from stacks.commands.output import Output
from stacks.commands.pulumi_cli import Configuration
from stacks.document import load
from stacks.secrets import required

COMPOSE = load({"topology": "compose"})
CLUSTER = load({"topology": "kubernetes", "edge": {"hostname": "veloz.example.com"}})
HOST = docker_facts.Facts(
    "unix:///x",
    version="27",
    cpus=16,
    memory=64_000,
    disk=500_000,
    files=65_535,
    images={image: {} for image in docker_facts.images(COMPOSE)},
    taken={},
)
NODES = cluster_facts.Facts(
    "here", version="v1.36", nodes=(Node("a", 16_000, 64_000), Node("b", 16_000, 64_000)), storage={"fast": True}
)


def changed(facts: Any, **values: Any) -> Any:  # noqa: ANN401
    return facts._replace(**values)


def refused(found: list[Finding]) -> set[str]:
    return {one.what for one in found if one.verdict == "refused"}


def on_docker(facts: docker_facts.Facts) -> list[Finding]:
    return list(docker_findings.findings(COMPOSE, facts))


def test_a_host_with_room_is_taken() -> None:
    assert {one.verdict for one in on_docker(HOST)} == {"ok"}


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"away": "connection refused"}, "Docker"),
        ({"memory": 4000}, "memory"),
        ({"disk": 1000}, "disk"),
        ({"files": 20_000}, "open files"),
        ({"images": {}}, "image"),
        ({"taken": {("127.0.0.1", 443): "address already in use"}}, "port 443"),
        ({"containers": (Container("other", "", (("0.0.0.0", 80),)),)}, "port 80"),  # noqa: S104
        ({"containers": (Container("veloz-redis", "", ()),)}, "names"),
    ],
)
def test_a_host_without_is_refused_with_a_remedy(change: dict[str, Any], what: str) -> None:
    found = on_docker(changed(HOST, **change))
    assert what in refused(found)
    assert all(one.remedy for one in found if one.verdict == "refused")


def test_a_port_that_this_deployment_holds_already_is_no_obstacle() -> None:
    own = Container("veloz-balancer", "veloz", (("127.0.0.1", 80), ("127.0.0.1", 443)))
    taken = {("127.0.0.1", port): "address already in use" for port in (80, 443)}
    assert refused(on_docker(changed(HOST, containers=(own,), taken=taken, disk=100))) == set()


def test_what_cannot_be_seen_from_here_is_a_note() -> None:
    found = on_docker(changed(HOST, disk=None, files=None, taken=None, cpus=5))
    notes = {one.what for one in found if one.verdict == "note"}
    assert notes == {"disk", "open files", "port 80", "port 443", "CPU"}


def test_another_address_of_the_same_port_is_free() -> None:
    other = Container("other", "", (("192.0.2.1", 443),))
    assert refused(on_docker(changed(HOST, containers=(other,)))) == set()


EVERYWHERE = docker_facts.EVERYWHERE
NEW = "192.0.2.7"
USED = docker_facts.IN_USE


def port_80(address: str, now: str, **facts: Any) -> Finding:  # noqa: ANN401
    """Of a deployment that has the port on the address `now` and is to have it on another."""
    spec = msgspec.structs.replace(COMPOSE, edge=msgspec.structs.replace(COMPOSE.edge, address=address))
    own = Container("veloz-balancer", "veloz", ((now, 80), (now, 443)))
    found = docker_findings.findings(
        spec, changed(HOST, **{**facts, "containers": (own, *facts.get("containers", ()))})
    )
    return next(one for one in found if one.what == "port 80")


@pytest.mark.parametrize(
    ("address", "now", "facts", "verdict", "have"),
    [
        (NEW, "127.0.0.1", {}, "ok", "free"),
        (NEW, "127.0.0.1", {"taken": {(NEW, 80): USED}}, "refused", USED),
        (NEW, "127.0.0.1", {"taken": {(NEW, 80): "cannot assign"}}, "refused", "cannot assign"),
        (NEW, "127.0.0.1", {"containers": (Container("x", "", ((NEW, 80),)),)}, "refused", "held by container x"),
        (NEW, "127.0.0.1", {"taken": None}, "note", "no container has it; more is not to be seen from here"),
        (
            EVERYWHERE,
            "127.0.0.1",
            {"containers": (Container("x", "y", ((NEW, 80),)),)},
            "refused",
            "held by container x",
        ),
        # The port is in use on all addresses by this deployment itself.
        (EVERYWHERE, "127.0.0.1", {"taken": {(EVERYWHERE, 80): USED}}, "ok", "held by this deployment"),
        (
            EVERYWHERE,
            "127.0.0.1",
            {"taken": {(EVERYWHERE, 80): USED, ("127.0.0.1", 80): USED}},
            "ok",
            "held by this deployment",
        ),
        (
            EVERYWHERE,
            "127.0.0.1",
            {"taken": {(EVERYWHERE, 80): USED, ("127.0.0.1", 80): USED, (NEW, 80): USED}},
            "refused",
            f"in use on {NEW}",
        ),
        (EVERYWHERE, "127.0.0.1", {"taken": None}, "note", "no container has it; more is not to be seen from here"),
        (NEW, EVERYWHERE, {"taken": {(NEW, 80): USED}}, "ok", "held by this deployment"),
        (NEW, EVERYWHERE, {"taken": {(NEW, 80): "cannot assign"}}, "refused", "cannot assign"),
        (EVERYWHERE, EVERYWHERE, {"taken": {(EVERYWHERE, 80): USED}}, "ok", "held by this deployment"),
        (EVERYWHERE, EVERYWHERE, {"taken": None}, "ok", "held by this deployment"),
    ],
)
def test_a_deployment_that_changes_its_address_must_find_its_port_free_there(
    address: str, now: str, facts: dict[str, Any], verdict: str, have: str
) -> None:
    found = port_80(address, now, **facts)
    assert (found.verdict, found.have) == (verdict, have)


def on_cluster(facts: cluster_facts.Facts, **changes: Any) -> list[Finding]:  # noqa: ANN401
    return list(cluster_findings.findings(msgspec.structs.replace(CLUSTER, **changes), facts))


def test_a_cluster_with_room_is_taken() -> None:
    assert refused(on_cluster(NODES)) == set()


@pytest.mark.parametrize(
    ("change", "what"),
    [
        ({"away": "timed out"}, "cluster"),
        ({"nodes": ()}, "largest pod"),
        ({"nodes": (Node("a", 1400, 64_000),) * 9}, "largest pod"),
        ({"nodes": (Node("a", 2000, 4000),)}, "all pods"),
        ({"storage": {"slow": False}}, "storage class"),
        ({"namespace": {"team": "other"}}, "namespace"),
    ],
)
def test_a_cluster_without_is_refused(change: dict[str, Any], what: str) -> None:
    assert what in refused(on_cluster(changed(NODES, **change)))


@pytest.mark.parametrize(("have", "remedy"), [(-1024, "To grow it"), (1024, "To leave it as it is")])
def test_a_claim_of_another_size_is_refused_with_the_way(have: int, remedy: str) -> None:
    """The cluster would refuse the change, or Pulumi make the store anew on the old claim."""
    size = CLUSTER.size("postgres").disk
    claims = {"data-veloz-postgres-0": size + have, "data-veloz-redis-0": CLUSTER.size("redis").disk}
    (found,) = [one for one in on_cluster(changed(NODES, claims=claims)) if one.what.startswith("claim")]
    assert (found.what, found.verdict) == ("claim of postgres", "refused")
    assert found.remedy.startswith(remedy)
    assert f"sizes.postgres.disk: {size + have}." in found.remedy
    assert not refused(on_cluster(changed(NODES, claims={"data-veloz-postgres-0": size})))


def test_an_ingress_needs_a_class_and_an_issued_certificate_cert_manager() -> None:
    document = {
        "topology": "kubernetes",
        "edge": {"kind": "ingress", "hostname": "veloz.example.com", "tls": {"source": "issued", "issuer": "x"}},
    }
    spec = load(document)
    assert refused(list(cluster_findings.findings(spec, NODES))) == {"ingress class", "cert-manager"}
    there = changed(NODES, ingress=frozenset({"nginx"}), groups=frozenset({"cert-manager.io"}))
    assert refused(list(cluster_findings.findings(spec, there))) == set()


def configuration(**secrets: str) -> Configuration:
    made = generate("veloz", ["localhost"])
    whole = {name: sha256(name.encode()).hexdigest() for name in required(COMPOSE)}
    whole |= {"tls_certificate": made.certificate, "tls_key": made.key, "tls_ca": made.authority, **secrets}
    return Configuration({}, {name: value for name, value in whole.items() if value})


def test_secrets_that_are_missing_and_certificates_of_others_are_refused() -> None:
    assert refused(list(preflight.configured(COMPOSE, configuration()))) == set()
    missing = list(preflight.configured(COMPOSE, configuration(redis_password="")))
    assert refused(missing) == {"veloz:secrets.redis_password"}
    external = load({"topology": "compose", "postgres": {"store": "external", "host": "db.example.com"}})
    (found,) = [one for one in preflight.configured(external, configuration()) if one.verdict == "refused"]
    assert found.remedy.startswith("To mend it: python -m stacks pulumi --stack … -- config set --secret --path")
    other = generate("veloz", ["other.test"]).certificate
    assert refused(list(preflight.configured(COMPOSE, configuration(tls_certificate=other)))) == {"certificate", "key"}
    assert "certificate" in refused(list(preflight.configured(COMPOSE, configuration(tls_certificate="none"))))
    assert sha256(b"api_key").hexdigest() not in repr(configuration())


def test_refused_findings_are_one_failure_with_every_remedy(capsys: pytest.CaptureFixture[str]) -> None:
    found = [
        Finding("a", "1", "2"),
        Finding("b", "1", "2", "refused", "Do b."),
        Finding("c", "1", "2", "refused", "Do c."),
    ]
    with pytest.raises(Failure, match=r"(?s)nothing was changed.*wanted 1, have 2. Do b\..*Do c\.") as failed:
        findings.show(found, Output())
    assert "a:" not in str(failed.value)
    assert "check  want  have  verdict" in capsys.readouterr().out


def test_a_daemon_that_is_not_there_is_away(tmp_path: Path) -> None:
    spec = load({"topology": "single", "docker": {"host": f"unix://{tmp_path}/nothing.sock"}})
    facts = docker_facts.read(spec, {})
    assert facts.away
    assert "\n" not in facts.away


def test_a_cluster_that_is_not_there_is_away(tmp_path: Path, free_port: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("KUBECONFIG", str(tmp_path / "none"))
    assert cluster_facts.read(CLUSTER).away
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "x",
        "contexts": [{"name": "x", "context": {"cluster": "x", "user": "x"}}],
        "clusters": [{"name": "x", "cluster": {"server": f"http://127.0.0.1:{free_port}"}}],
        "users": [{"name": "x", "user": {}}],
    }
    (tmp_path / "config").write_bytes(msgspec.json.encode(config))
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(tmp_path / "config"))
    assert "refused" in cluster_facts.read(CLUSTER).away


def test_a_port_that_something_listens_on_is_taken() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        assert docker_facts.taken("127.0.0.1", server.getsockname()[1]) == "address already in use"
    with socket.create_server(("127.0.0.1", 0)) as server:
        free = server.getsockname()[1]
    assert docker_facts.taken("127.0.0.1", free) == ""


@pytest.mark.parametrize(("family", "kind", "address"), [("tcp", "AF_INET", "127.0.0.1"), ("tcp6", "AF_INET6", "::1")])
def test_what_listens_is_known_by_its_address(family: str, kind: str, address: str) -> None:
    try:
        server = socket.create_server((address, 0), family=getattr(socket, kind))
    except OSError:
        pytest.skip(f"this machine has no {address}")
    with server:
        port = server.getsockname()[1]
        assert listeners.addresses(port, family) == {address}
    assert listeners.addresses(port, family) == frozenset()


def test_what_listens_counts_where_all_addresses_are_wanted() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        edge = {"address": EVERYWHERE, "hostname": "veloz.example", "http_port": port}
        seen = docker_facts.seen_taken(load({"topology": "compose", "edge": edge}))
    assert {("127.0.0.1", port), (EVERYWHERE, port)} <= seen.keys()
