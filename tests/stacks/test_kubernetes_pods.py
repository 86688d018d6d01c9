"""Pods on Kubernetes are what the description says: how many, how large, how replaced, as whom."""

from __future__ import annotations

import pytest

from stacks import edge, names
from stacks.components.k8s.gateway import AUTOSCALE_CPU_PERCENT, BEFORE_STOP_SECONDS, USABLE_CPU
from stacks.gateway_settings import gateway_settings
from stacks.spec import Role
from stacks.units import kubernetes_cpu, kubernetes_memory
from tests.stacks.manifests import IMAGE, example, manifests, role_of, usual

STATEFUL: tuple[Role, ...] = ("postgres", "redis", "prometheus")

# How many, how large


def test_there_are_as_many_pods_as_described() -> None:
    one_number = {"max_replicas": 4}
    edges = {"hostname": "v.example.com", "replicas": 5}
    declared = manifests(example(gateways={"replicas": 4}, edge=edges, kubernetes=one_number))
    count = {role_of(found): found["spec"]["replicas"] for found in declared.of("Deployment", "StatefulSet")}
    assert count == {"gateway": 4, "balancer": 5, "postgres": 1, "redis": 1, "prometheus": 1, "grafana": 1}


@pytest.mark.parametrize("profile", ["minimum", "recommended"])
def test_a_pod_is_promised_and_held_to_its_size(profile: str) -> None:
    spec = example(profile=profile, sizes={"redis": {"cpu": 300}})
    for role, container in manifests(spec).containers().items():
        size = spec.container_size(role)  # type: ignore[arg-type]
        held = container["resources"]
        assert held["requests"] == held["limits"]
        assert held["limits"]["cpu"] == kubernetes_cpu(size.cpu)
        assert held["limits"]["memory"] == kubernetes_memory(size.memory)


def test_a_pod_may_use_idle_cores_where_that_is_wanted() -> None:
    spec = example(kubernetes={"cpu_burst": 3})
    for role, container in manifests(spec).containers().items():
        promised, most = container["resources"]["requests"], container["resources"]["limits"]
        cpu = spec.container_size(role).cpu  # type: ignore[arg-type]
        assert (promised.pop("cpu"), most.pop("cpu")) == (kubernetes_cpu(cpu), kubernetes_cpu(3 * cpu))
        assert promised == most


def test_a_gateways_pod_has_room_for_its_engine() -> None:
    declared = manifests(example(profile="minimum"))
    assert declared.containers()["gateway"]["resources"]["limits"] == {
        "cpu": "1500m",
        "memory": "1536Mi",
        "ephemeral-storage": "600Mi",
    }


def test_data_has_a_claim_of_its_size_that_outlives_the_pod() -> None:
    spec = example(kubernetes={"storage_class": "fast"})
    for found in manifests(spec).of("StatefulSet"):
        (claim,) = found["spec"]["volumeClaimTemplates"]
        size = spec.size(role_of(found))  # type: ignore[arg-type]
        assert claim["spec"]["resources"]["requests"] == {"storage": kubernetes_memory(size.disk)}
        assert claim["spec"]["storageClassName"] == "fast"
        kept = found["spec"]["persistentVolumeClaimRetentionPolicy"]
        assert kept == {"whenDeleted": "Retain", "whenScaled": "Retain"}
    assert {role_of(found) for found in manifests(spec).of("StatefulSet")} == set(STATEFUL)


def test_a_claims_template_never_changes_with_the_version() -> None:
    for found in usual()[1].of("StatefulSet"):
        (claim,) = found["spec"]["volumeClaimTemplates"]
        assert claim["metadata"]["labels"] == found["spec"]["selector"]["matchLabels"]


def test_scratch_folders_fit_what_the_container_may_write() -> None:
    units = {"Mi": 1, "Gi": 1024}

    def mib(text: str) -> int:
        return int(text[:-2]) * units[text[-2:]]

    for role, pod in usual()[1].pods().items():
        volumes = [volume["emptyDir"] for volume in pod["spec"].get("volumes", []) if "emptyDir" in volume]
        limit = pod["spec"]["containers"][0]["resources"]["limits"]["ephemeral-storage"]
        assert sum(mib(volume["sizeLimit"]) for volume in volumes) < mib(limit), role


def test_gateways_are_scaled_between_what_is_described() -> None:
    spec = example(gateways={"replicas": 3}, kubernetes={"max_replicas": 8})
    scaler = manifests(spec).named("HorizontalPodAutoscaler", "veloz-gateway")["spec"]
    assert (scaler["minReplicas"], scaler["maxReplicas"]) == (3, 8)
    assert scaler["scaleTargetRef"] == {"apiVersion": "apps/v1", "kind": "Deployment", "name": "veloz-gateway"}
    (metric,) = scaler["metrics"]
    assert metric["resource"] == {
        "name": "cpu",
        "target": {"type": "AverageValue", "averageValue": kubernetes_cpu(USABLE_CPU * AUTOSCALE_CPU_PERCENT // 100)},
    }
    # Their number is the autoscaler's: applied again, ours would undo it.
    assert "replicas" not in manifests(spec).named("Deployment", "veloz-gateway")["spec"]


@pytest.mark.parametrize("profile", ["minimum", "recommended"])
def test_a_gateway_that_is_busy_with_all_it_can_use_is_above_the_autoscalers_target(profile: str) -> None:
    """Its event loop has one core, whatever is promised; a pod with less has less."""
    for sizes in ({}, {"gateway": {"cpu": 100}, "engine": {"cpu": 100}}):
        spec = example(profile=profile, sizes=sizes)
        (metric,) = manifests(spec).named("HorizontalPodAutoscaler", "veloz-gateway")["spec"]["metrics"]
        target = int(metric["resource"]["target"]["averageValue"].removesuffix("m"))
        assert 0 < target < min(1000, spec.container_size("gateway").cpu)


def test_gateways_that_may_not_be_more_are_not_scaled() -> None:
    spec = example(gateways={"replicas": 3}, kubernetes={"max_replicas": 3})
    assert not manifests(spec).of("HorizontalPodAutoscaler")


# Replaced, spread, stopped


@pytest.mark.parametrize("role", ["gateway", "balancer"])
def test_pods_are_replaced_without_being_fewer(role: str) -> None:
    found = usual()[1].named("Deployment", f"veloz-{role}")["spec"]
    assert found["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}
    budget = usual()[1].named("PodDisruptionBudget", f"veloz-{role}")["spec"]
    always = {"unhealthyPodEvictionPolicy": "AlwaysAllow"}  # else a node is never emptied while the database is away
    assert budget == {"maxUnavailable": 1, "selector": found["selector"]} | always


def test_a_release_replaces_gateways_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a new version: stores and balancers go on."""
    before = manifests(usual()[0]).pods()
    monkeypatch.setattr(names, "__version__", "99.0.0")
    after = manifests(usual()[0]).pods()
    assert {role for role in before if before[role] != after[role]} == {"gateway"}
    labels = {
        kind: found["metadata"]["labels"] for kind in ("StatefulSet",) for found in manifests(usual()[0]).of(kind)
    }
    assert labels["StatefulSet"]["app.kubernetes.io/version"] == "99.0.0"


def test_a_store_that_never_becomes_ready_can_be_mended() -> None:
    """In order, the controller would wait for it for ever."""
    assert {found["spec"]["podManagementPolicy"] for found in usual()[1].of("StatefulSet")} == {"Parallel"}


def test_a_balancer_goes_when_the_clouds_load_balancer_has_noticed() -> None:
    found = usual()[1].named("Deployment", "veloz-balancer")["spec"]
    pod = found["template"]["spec"]
    pause = pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert min(pause, found["minReadySeconds"]) >= 30
    assert pod["terminationGracePeriodSeconds"] - pause > edge.balancer(usual()[0]).shutdown_timeout


def test_a_gateway_is_relied_upon_when_balancers_have_found_it() -> None:
    """As old as an answer of the cluster's DNS may be."""
    assert usual()[1].named("Deployment", "veloz-gateway")["spec"]["minReadySeconds"] >= 30


@pytest.mark.parametrize("role", ["gateway", "balancer"])
def test_pods_are_spread_over_hosts_and_zones(role: str) -> None:
    spec = usual()[1].pods()[role]["spec"]
    spread = {each["topologyKey"]: each for each in spec["topologySpreadConstraints"]}
    assert spread.keys() == {"kubernetes.io/hostname", "topology.kubernetes.io/zone"}
    for each in spread.values():
        assert each["maxSkew"] == 1
        assert each["labelSelector"] == usual()[1].named("Deployment", f"veloz-{role}")["spec"]["selector"]


def test_a_gateway_has_the_time_it_takes_to_leave() -> None:
    spec = example(gateways={"settings": {"drain_timeout": 12, "drain_linger": 8}, "stop_grace": 40})
    pod = manifests(spec).pods()["gateway"]["spec"]
    pause = pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert pause == BEFORE_STOP_SECONDS
    assert pod["terminationGracePeriodSeconds"] - pause == 40
    assert pod["terminationGracePeriodSeconds"] - pause >= gateway_settings(spec).stop_seconds


def test_a_balancer_has_the_time_its_streams_may_take_to_end() -> None:
    spec, declared = usual()
    pod = declared.pods()["balancer"]["spec"]
    pause = pod["containers"][0]["lifecycle"]["preStop"]["sleep"]["seconds"]
    assert pod["terminationGracePeriodSeconds"] - pause > edge.balancer(spec).shutdown_timeout


# Health


def test_gateways_are_asked_whether_they_live_and_whether_they_can_trade() -> None:
    container = usual()[1].containers()["gateway"]
    asked = {name: container[name]["httpGet"] for name in ("startupProbe", "livenessProbe", "readinessProbe")}
    assert asked == {
        "startupProbe": {"path": "/health/live", "port": "http"},
        "livenessProbe": {"path": "/health/live", "port": "http"},
        "readinessProbe": {"path": "/health/ready", "port": "http"},
    }
    ready = container["readinessProbe"]
    assert ready["failureThreshold"] * max(ready["periodSeconds"], ready["timeoutSeconds"]) <= 3


def test_every_container_is_asked_whether_it_lives_and_is_ready() -> None:
    for role, container in usual()[1].containers().items():
        for name in ("livenessProbe", "readinessProbe"):
            assert {"httpGet", "exec"} & container[name].keys(), role
            assert container[name]["timeoutSeconds"] <= container[name]["periodSeconds"], role


def test_probes_ask_ports_that_the_container_declares() -> None:
    for role, container in usual()[1].containers().items():
        declared = {port["name"] for port in container["ports"]}
        probes = (container.get(name, {}) for name in ("startupProbe", "livenessProbe", "readinessProbe"))
        assert {probe["httpGet"]["port"] for probe in probes if "httpGet" in probe} <= declared, role


# Identity and names


def test_every_role_has_an_identity_without_a_token() -> None:
    spec, declared = usual()
    for role, pod in declared.pods().items():
        account = declared.named("ServiceAccount", pod["spec"]["serviceAccountName"])
        assert role_of(account) == role
        assert account["automountServiceAccountToken"] is False
        assert pod["spec"]["automountServiceAccountToken"] is False
        assert pod["spec"]["enableServiceLinks"] is False
    assert {role_of(found) for found in declared.of("ServiceAccount")} == set(spec.roles)


def test_everything_is_in_the_deployments_namespace() -> None:
    spec = example(name="trading-2")
    for found in manifests(spec).objects:
        if found["kind"] == "Namespace":
            assert found["metadata"]["name"] == "trading-2"
        else:
            assert found["metadata"]["namespace"] == "trading-2"
        assert found["metadata"]["labels"]["app.kubernetes.io/instance"] == "trading-2"


def test_images_are_the_descriptions() -> None:
    spec = example(images={"pull_secret": "registry"})
    declared = manifests(spec)
    found = {role: container["image"] for role, container in declared.containers().items()}
    others = {role: getattr(spec.images, role) for role in ("postgres", "redis", "prometheus", "grafana")}
    assert found == {"gateway": IMAGE, "balancer": spec.images.haproxy} | others
    for pod in declared.pods().values():
        assert pod["spec"]["imagePullSecrets"] == [{"name": "registry"}]


@pytest.mark.parametrize("role", ["gateway", "balancer"])
def test_sysctls_are_the_descriptions(role: str) -> None:
    spec, declared = usual()
    found = declared.pods()[role]["spec"]["securityContext"]["sysctls"]
    assert {each["name"]: each["value"] for each in found} == spec.limits.sysctls
