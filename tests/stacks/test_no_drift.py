"""What the topologies declare of one thing is the same thing; and numbers that have a home stand nowhere else."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any, Final

import msgspec
import pytest

from app.settings import VARIABLES
from stacks import ports, spec
from stacks.environment import DERIVED
from stacks.secrets import Secrets
from stacks.spec import Deployment, Role
from tests.stacks import declared as d
from tests.stacks.declared import declared, described
from tests.stacks.manifests import Manifests, manifests
from tests.stacks.recorder import Recording

ROOT: Final = Path(__file__).resolve().parents[2]
# What both are told beyond the topology itself.
COMMON: Final[dict[str, Any]] = {
    "edge": {"hostname": "veloz.example.com", "kind": "haproxy"},
    "profile": "recommended",
    "sizes": {"redis": {"cpu": 700, "memory": 333}, "engine": {"cpu": 1250}},
    "gateways": {"replicas": 4, "drain_policy": "cancel", "settings": {"rate_limit_key": 77, "log_keep_days": 9}},
    "monitoring": {"keep_days": 12},
    "limits": {"sysctls": {"net.ipv4.tcp_syncookies": "1", "net.ipv4.ping_group_range": "0 0"}},
}
# Variables whose values a topology gives: who one is and where, and who stands before.
PLACES: Final = {f"VELOZ_{field.upper()}" for field in ("host", "gateway_id", "advertise_url", "trusted_proxies")} & {
    f"VELOZ_{field.upper()}" for field in DERIVED
}


def both() -> tuple[Deployment, Recording, Manifests]:
    compose, kubernetes = (described(topology=name, **COMMON) for name in ("compose", "kubernetes"))
    secrets = Secrets(**d.secret_values(kubernetes))
    return compose, declared(compose), manifests(kubernetes, secrets)


def cores(text: str) -> float:
    return float(text.removesuffix("m")) / 1000 if text.endswith("m") else float(text)


def mib(text: str) -> int:
    return int(text[:-2]) * {"Mi": 1, "Gi": 1024}[text[-2:]]


def first(seen: Recording, role: Role) -> Any:  # noqa: ANN401 - a resource's inputs
    return d.of_role(seen, role)[0].inputs


def told(objects: Manifests, role: str) -> dict[str, str]:
    container = objects.containers()[role]
    found = {variable["name"]: variable.get("value", "") for variable in container.get("env", [])}
    for source in container.get("envFrom", []):
        found |= objects.named("ConfigMap", source["configMapRef"]["name"])["data"]
    return found


def test_the_same_roles_run_as_often() -> None:
    compose, containers, objects = both()
    wanted = {role: compose.replicas(role) for role in compose.roles} | {
        "balancer": 2
    }  # one port of one host, or two pods
    found = {
        one["metadata"]["labels"]["app.kubernetes.io/component"]: one["spec"].get("replicas")
        for one in objects.of("Deployment", "StatefulSet")
    }
    assert found["gateway"] is None  # the autoscaler's, and no fewer than described
    found["gateway"] = objects.named("HorizontalPodAutoscaler", "veloz-gateway")["spec"]["minReplicas"]
    assert found == wanted
    assert {role: len(d.of_role(containers, role)) for role in compose.roles} == wanted | {"balancer": 1}


def test_a_gateway_is_told_the_same_but_for_its_place() -> None:
    _, containers, objects = both()
    here = d.environment(d.of_role(containers, "gateway")[0])
    there = told(objects, "gateway")
    names = {variable.name for variable in VARIABLES}
    told_here = {name: text for name, text in here.items() if name.removesuffix("_FILE") in names}
    told_there = {name: text for name, text in there.items() if name.removesuffix("_FILE") in names}
    assert told_here.keys() == told_there.keys()
    differing = {name for name in told_here if told_here[name] != told_there[name]}
    assert differing == PLACES


def test_a_gateway_reads_the_same_secrets_from_the_same_files() -> None:
    _, containers, objects = both()
    (mounted,) = (
        {item["path"] for source in volume["projected"]["sources"] for item in source["secret"]["items"]}
        for volume in objects.pods()["gateway"]["spec"]["volumes"]
        if "projected" in volume
    )
    uploaded = {Path(path).name for path in d.uploads(containers, "gateway-1")}
    assert uploaded == mounted
    assert uploaded == {Path(path).name for name, path in told(objects, "gateway").items() if name.endswith("_FILE")}


def test_each_role_gets_the_same_cores_and_memory() -> None:
    compose, containers, objects = both()
    for role in compose.roles:
        inputs, held = first(containers, role), objects.containers()[role]["resources"]["limits"]
        assert inputs["cpuQuota"] / inputs["cpuPeriod"] == cores(held["cpu"]), role
        assert inputs["memory"] == mib(held["memory"]), role


def test_each_role_listens_on_the_same_ports() -> None:
    compose, containers, objects = both()
    for role in compose.roles:
        (listener,) = d.of_role(containers, role)[:1]
        here = {port for _, port in d.listening(containers, listener)}
        there = {port["containerPort"] for port in objects.containers()[role]["ports"]} - {ports.BALANCER_HEALTH}
        assert here == there, role


def test_clients_meet_the_same_ports() -> None:
    compose, containers, objects = both()
    outside = {port["external"] for port in first(containers, "balancer")["ports"]}
    (service,) = (it for it in objects.of("Service") if it["spec"].get("type") == "LoadBalancer")
    assert outside == {port["port"] for port in service["spec"]["ports"]}
    assert outside == {compose.edge.http_port, compose.edge.https_port}


def test_sysctls_are_the_same_inside() -> None:
    _, containers, objects = both()
    wanted = COMMON["limits"]["sysctls"]
    for role in ("gateway", "balancer"):
        there = {it["name"]: it["value"] for it in objects.pods()[role]["spec"]["securityContext"]["sysctls"]}
        here = first(containers, role)["sysctls"]
        assert {name: here[name] for name in wanted} == wanted, role
        assert {name: there[name] for name in wanted} == wanted, role
        assert here == there, role


def test_a_gateway_that_cannot_trade_is_noticed_by_both() -> None:
    _, containers, objects = both()
    check = first(containers, "gateway")["healthcheck"]["tests"]
    assert "ready" in check
    assert objects.containers()["gateway"]["readinessProbe"]["httpGet"]["path"] == "/health/ready"


def test_the_stop_is_waited_for_as_long() -> None:
    compose, containers, objects = both()
    gateway = objects.pods()["gateway"]["spec"]
    pause = gateway["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    inputs = first(containers, "gateway")
    assert inputs["stopTimeout"] == inputs["destroyGraceSeconds"] == compose.gateways.stop_grace
    assert gateway["terminationGracePeriodSeconds"] - pause == compose.gateways.stop_grace


def test_images_are_the_same() -> None:
    compose, containers, objects = both()
    for role in compose.roles:
        if role != "gateway":  # whose image each test names itself
            assert first(containers, role)["image"] == objects.containers()[role]["image"], role


# Said once

SOURCES = [
    path
    for folder in ("app", "stacks")
    for path in (ROOT / folder).rglob("*")
    if path.suffix in {".py", ".j2", ".sh", ".yaml", ""} and path.is_file() and "config" not in path.parts
]
# Numbers that are nothing but ports here.
PORTS = {
    value for name, value in vars(ports).items() if name.isupper() and isinstance(value, int) and value not in (53, 80)
}
HOMES = {
    "stacks/ports.py": PORTS,
    "app/settings.py": {ports.GATEWAY},
    "stacks/images/probe.py": {ports.GATEWAY},  # which imports nothing: it runs every few seconds
    "stacks/images/Dockerfile": {ports.GATEWAY},
    # A struct's defaults are PostgreSQL's and Redis's own ports, wherever those are.
    "stacks/spec.py": {ports.HTTPS, ports.POSTGRES, ports.REDIS},
}


@pytest.mark.parametrize("number", sorted(PORTS))
def test_a_port_stands_in_its_home_alone(number: int) -> None:
    pattern = re.compile(rf"(?<![\w.#-]){number}(?![\w.%])")
    strays = []
    for path in SOURCES:
        name = path.relative_to(ROOT).as_posix()
        if number in HOMES.get(name, set()) or "__pycache__" in path.parts:
            continue
        for line, text in enumerate(path.read_text().splitlines(), 1):
            code = re.sub(r'(""".*?""")|(#.*)|(description="[^"]*")|(e\.g\. [^"]*)', "", text)
            if pattern.search(code):
                strays.append(f"{name}:{line}: {text.strip()}")
    assert not strays, "\n".join(strays)


def test_image_references_stand_in_the_description_alone() -> None:
    images = [
        field.default
        for field in msgspec.structs.fields(spec.Images)
        if isinstance(field.default, str) and ":" in field.default
    ]
    strays = [
        f"{path.relative_to(ROOT)}: {image}"
        for path in SOURCES
        # A Dockerfile's argument has a default; that the two agree is tested with the images.
        if path.name not in {"spec.py", "Dockerfile"} and "__pycache__" not in path.parts
        for image in images
        if image in path.read_text()
    ]
    assert len(images) > 5
    assert not strays, "\n".join(strays)
