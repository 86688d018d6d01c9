"""Containers on one host: what the program declares is what the description says, for any description."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings

from app.settings import load as load_settings
from stacks import names, reach
from stacks.document import load
from stacks.endpoints import endpoints
from stacks.spec import Deployment, Role
from stacks.units import docker_memory
from tests.stacks import declared as d
from tests.stacks.declared import CONTAINER, NETWORK, VOLUME, declared, described
from tests.stacks.strategies import deployments

EVERYWHERE = "0.0.0.0"  # noqa: S104 - described, not bound to
SINGLE = described(topology="single")
COMPOSE = described(topology="compose")
VARIANTS = [
    SINGLE,
    described(topology="single", name="lab", edge={"http_port": 18080, "address": "127.0.0.2"}, profile="recommended"),
    COMPOSE,
    described(topology="compose", edge={"kind": "haproxy", "address": EVERYWHERE, "hostname": "veloz.example"}),
    described(topology="compose", monitoring={"grafana": False}, edge={"tls": {"source": "none"}}),
    described(topology="compose", monitoring={"grafana": False, "prometheus": False}, gateways={"replicas": 1}),
    described(topology="compose", redis={"store": "external", "host": "redis.example"}, gateways={"egress": True}),
    described(
        topology="compose",
        name="other",
        postgres={"store": "external", "host": "db.example"},
        sizes={"gateway": {"cpu": 750, "memory": 640}},
        docker={"subnet": "10.99.8.0/21", "host": "tcp://192.0.2.7:2376"},
        gateways={"replicas": 5, "stop_grace": 40, "settings": {"rate_limit_key": 100}},
        limits={"open_files": 32768, "sysctls": {"net.core.somaxconn": "1024"}},
    ),
]
each = pytest.mark.parametrize("spec", VARIANTS, ids=lambda spec: f"{spec.topology}-{spec.name}")


@each
def test_there_are_the_containers_of_the_description_and_no_others(spec: Deployment) -> None:
    seen = declared(spec)
    for role in spec.roles:
        assert len(d.of_role(seen, role)) == spec.replicas(role), role
    assert {d.label(it, "role") for it in d.lasting(seen)} == set(spec.roles)
    assert {d.label(it, "deployment") for it in seen.of(CONTAINER)} == {spec.name}
    own = [it.inputs["name"] for kind in (CONTAINER, NETWORK, VOLUME) for it in seen.of(kind)]
    assert all(name.startswith(f"{spec.name}-") for name in own)
    assert len({it.inputs["name"] for it in seen.of(CONTAINER)}) == len(seen.of(CONTAINER))
    ended = {it.name for it in d.started(seen)} - {it.name for it in d.lasting(seen)}
    assert ended == ({"balancer-test"} if spec.replicas("balancer") else set())


@each
def test_networks_have_their_subnets_and_containers_their_addresses(spec: Deployment) -> None:
    seen = declared(spec)
    networks = {it.inputs["name"]: it.inputs for it in seen.of(NETWORK)}
    assert set(networks) == {names.network(spec, which) for which in names.networks(spec)}
    for which in names.networks(spec):
        network = networks[names.network(spec, which)]
        assert network["ipamConfigs"][0]["subnet"] == names.subnet(spec, which)
        assert network["internal"] is names.internal(which)
    for role in spec.roles:
        for replica, container in enumerate(d.of_role(seen, role), 1):
            assert d.addresses(container) == {
                names.network(spec, which): names.address(spec, which, role, replica)
                for which in names.networks_of(spec, role)
            }
    every = [address for it in seen.of(CONTAINER) for address in d.addresses(it).values()]
    assert len(every) == len(set(every))


@each
def test_who_shares_a_network_with_a_listener_is_who_may_connect_to_it(spec: Deployment) -> None:
    seen = declared(spec)
    allowed = {(edge.source, edge.target, edge.port) for edge in reach.edges(spec)}
    for target in d.lasting(seen):
        for address, port in d.listening(seen, target):
            within = {name for name, own in d.addresses(target).items() if address in (own, EVERYWHERE)}
            assert within, target.name
            for source in d.lasting(seen):
                if source is not target:
                    reaches = bool(within & set(d.addresses(source)))
                    edge = (d.label(source, "role"), d.label(target, "role"), port)
                    assert reaches == (edge in allowed), f"{source.name} -> {target.name}:{port}"


@each
def test_only_the_entrance_is_published_at_the_address_of_the_description(spec: Deployment) -> None:
    seen = declared(spec)
    entrance: Role = "gateway" if spec.topology == "single" else "balancer"
    (container,) = d.of_role(seen, entrance)[:1]
    published = {(it["ip"], it["external"], it["internal"], it["protocol"]) for it in container.inputs["ports"]}
    assert published == {(spec.edge.address, it.port, it.target, "tcp") for it in reach.published(spec)}
    others = [it for it in seen.of(CONTAINER) if it is not container]
    assert not [it.name for it in others if it.inputs.get("ports") or it.inputs.get("publishAllPorts")]


@each
def test_each_is_held_to_its_size_and_limits(spec: Deployment) -> None:
    seen = declared(spec)
    for role in spec.roles:
        size = spec.container_size(role)
        for it in d.of_role(seen, role):
            assert it.inputs["memory"] == it.inputs["memorySwap"] == docker_memory(size.memory)
            assert it.inputs["cpuQuota"] / it.inputs["cpuPeriod"] == size.cpu / 1000
    files = {"name": "nofile", "soft": spec.limits.open_files, "hard": spec.limits.open_files}
    for it in d.started(seen):
        assert files in it.inputs["ulimits"]
    for it in d.lasting(seen):
        assert it.inputs["logDriver"] == "json-file"
        assert it.inputs["logOpts"] == {
            "max-size": f"{spec.limits.log_size}m",
            "max-file": str(spec.limits.log_files),
        }
    for it in (*d.of_role(seen, "gateway"), *d.of_role(seen, "balancer")):
        assert it.inputs.get("sysctls", {}) == spec.limits.sysctls


@each
def test_none_has_a_privilege_or_a_part_of_the_host(spec: Deployment) -> None:
    for it in declared(spec).of(CONTAINER):
        inputs = it.inputs
        assert inputs["capabilities"] == {"drops": ["ALL"]}
        assert "no-new-privileges:true" in inputs["securityOpts"]
        assert not inputs.get("privileged")
        assert not {"pidMode", "ipcMode", "usernsMode", "devices", "volumes", "hosts"} & set(inputs)
        assert inputs.get("networkMode", "none") == "none"
        assert {mount["type"] for mount in inputs.get("mounts", [])} <= {"volume"}


@each
def test_what_runs_is_nobody_and_writes_only_where_it_may(spec: Deployment) -> None:
    seen = declared(spec)
    owned = {it.inputs["name"] for it in seen.of(VOLUME) if it.retain}
    for it in d.started(seen):
        user = it.inputs["user"].split(":")[0]
        assert user.isdecimal()
        assert int(user) > 0
        assert it.inputs["readOnly"] is True
        writable = {mount["source"] for mount in it.inputs.get("mounts", []) if not mount.get("readOnly")}
        assert writable <= owned
        assert all("noexec" in options and "size=" in options for options in it.inputs.get("tmpfs", {}).values())


@each
def test_each_says_how_it_is_and_is_waited_for(spec: Deployment) -> None:
    for it in d.lasting(declared(spec)):
        assert it.inputs["healthcheck"]["tests"][0] == "CMD"
        assert it.inputs["wait"] is True
        assert it.inputs["restart"] == "unless-stopped"
        assert it.inputs["stopTimeout"] == it.inputs["destroyGraceSeconds"]
        if d.label(it, "role") == "gateway":
            assert it.inputs["destroyGraceSeconds"] >= spec.gateways.stop_grace


@each
def test_secrets_are_in_uploads_alone_and_encrypted_there(spec: Deployment) -> None:
    seen = declared(spec)
    values = set(d.secret_values(spec).values())
    met = set()
    for it in seen.resources:
        for where, text in _texts(it.inputs, ()):
            if found := {value for value in values if value in text}:
                assert where[0] == "uploads", f"{it.name}: {where}"
                assert where[2] == "content"
                assert it.secret(*where)
                assert it.inputs["uploads"][where[1]]["permissions"] == "0440"
                assert it.inputs["start"] is False
                met |= found
    unused = {"tls_ca"}  # for clients
    assert met == {value for name, value in d.secret_values(spec).items() if name not in unused}
    assert not [value for value in values if value in repr(seen.outputs)]


@each
def test_data_volumes_are_retained_and_all_with_a_fixed_name_goes_before_its_successor(spec: Deployment) -> None:
    seen = declared(spec)
    kept = {it.inputs["name"] for it in seen.resources if it.retain}
    stores = {names.volume(spec, f"{it}-data") for it in spec.roles if it not in {"gateway", "balancer"}}
    assert kept == ({names.volume(spec, "data")} if spec.topology == "single" else stores)
    assert kept == set(names.data_volumes(spec))
    assert all(names.is_volume(spec, it.inputs["name"]) for it in seen.of(VOLUME))
    assert all(it.delete_before_replace for kind in (CONTAINER, NETWORK, VOLUME) for it in seen.of(kind))
    assert not any(it.protect for it in seen.resources)  # a store must be able to leave the description
    assert kept == {it.inputs["name"] for it in seen.of(VOLUME) if names.holds_data(spec, it.inputs["name"])}


@each
def test_a_part_is_replaced_with_its_files(spec: Deployment) -> None:
    seen = declared(spec)
    for it in d.lasting(seen):
        own = {f"{it.name}-files"}
        assert it.replace_with == (set() if it.name == "balancer" else own)
        assert own <= it.depends_on
        # Those that the provider would say it changed, and did not.
        assert {"cpuPeriod", "cpuQuota", "healthcheck", "init", "tmpfs"} <= set(it.replace_on_changes)
    for it in d.carriers(seen):
        assert d.label(it, "files") == "true"
        assert it.inputs["mustRun"] is False
        assert not it.inputs.get("readOnly")  # Docker takes nothing into such a container
        (mount,) = it.inputs["mounts"]
        assert all(upload["file"].startswith(mount["target"] + "/") for upload in it.inputs["uploads"])


@each
def test_a_gateway_understands_what_it_is_told(spec: Deployment, tmp_path: Path) -> None:
    _understood(spec, tmp_path)


def _understood(spec: Deployment, directory: Path) -> None:
    seen = declared(spec)
    for it in d.of_role(seen, "gateway"):
        told = d.environment(it)
        for number, (path, content) in enumerate(d.uploads(seen, it.name).items()):
            here = directory / f"{it.name}-{number}"
            here.unlink(missing_ok=True)
            here.write_text(content)
            here.chmod(0o440)
            told = {name: str(here) if value == path else value for name, value in told.items()}
        if spec.topology == "single":
            told["VELOZ_POSTGRES_DSN"] = "postgresql://added@by/itself"
        understood = load_settings(told, api_key_file=directory / "none")
        assert understood.api_key == d.secret_values(spec)["api_key"]
        assert understood.trusted_proxies == (
            (names.address(spec, "app", "balancer"),) if spec.topology == "compose" else ()
        )


@each
def test_the_outputs_say_where_it_is(spec: Deployment) -> None:
    out = declared(spec).outputs
    scheme, port = ("https", spec.edge.https_port) if spec.encrypted else ("http", spec.edge.http_port)
    assert out["name"] == spec.name
    assert out["image"] == spec.images.veloz
    assert out["port"] == port
    assert out["url"] in {f"{scheme}://{spec.edge.hostname}", f"{scheme}://{spec.edge.hostname}:{port}"}
    assert out.get("schema") is None, "nobody looked what a named image knows"


def test_the_schema_of_an_image_that_is_built_is_this_tree_s() -> None:
    built = endpoints(load({"topology": "compose"}), "veloz:1", "127.0.0.1")
    assert built.schema == max(int(path.name[:4]) for path in Path("app/schema").glob("*.sql"))


CLAIMS = (
    test_there_are_the_containers_of_the_description_and_no_others,
    test_networks_have_their_subnets_and_containers_their_addresses,
    test_who_shares_a_network_with_a_listener_is_who_may_connect_to_it,
    test_only_the_entrance_is_published_at_the_address_of_the_description,
    test_each_is_held_to_its_size_and_limits,
    test_none_has_a_privilege_or_a_part_of_the_host,
    test_what_runs_is_nobody_and_writes_only_where_it_may,
    test_each_says_how_it_is_and_is_waited_for,
    test_secrets_are_in_uploads_alone_and_encrypted_there,
    test_data_volumes_are_retained_and_all_with_a_fixed_name_goes_before_its_successor,
    test_a_part_is_replaced_with_its_files,
    test_the_outputs_say_where_it_is,
)


@settings(max_examples=12, deadline=None)
@given(spec=deployments("single", "compose"))
def test_all_of_that_holds_for_any_description(spec: Deployment, tmp_path_factory: pytest.TempPathFactory) -> None:
    there = msgspec.structs.replace(
        spec, images=msgspec.structs.replace(spec.images, veloz=spec.images.veloz or d.IMAGE)
    )
    for claim in CLAIMS:
        claim(there)
    _understood(there, tmp_path_factory.mktemp("files"))


def test_a_preview_declares_the_same() -> None:
    """In some order: what waits for nothing is registered as it comes."""
    previewed, made = (
        sorted(seen.resources, key=lambda it: (it.type, it.name))
        for seen in (d.declare(COMPOSE, preview=True), declared(COMPOSE))
    )
    assert previewed == made


def _texts(value: object, where: tuple[str | int, ...]) -> list[tuple[tuple[str | int, ...], str]]:
    if isinstance(value, dict):
        return [found for name, item in value.items() for found in _texts(item, (*where, name))]
    if isinstance(value, list):
        return [found for i, item in enumerate(value) for found in _texts(item, (*where, i))]
    return [(where, str(value))]
