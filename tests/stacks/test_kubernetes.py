"""What is declared for Kubernetes is what the description says."""

from __future__ import annotations

import base64

import pytest

from stacks import edge, names, ports
from stacks.components.k8s.gateway import AUTOSCALE_CPU_PERCENT, BEFORE_STOP_SECONDS, EVERY
from stacks.components.k8s.mounts import CONFIG_SUM, SECRETS_SUM
from stacks.environment import variables
from stacks.files import given
from stacks.gateway_settings import gateway_settings
from stacks.spec import Deployment, Role
from stacks.units import kubernetes_cpu, kubernetes_memory
from tests.stacks.manifests import IMAGE, Manifests, example, leaves, manifests, role_of, secrets_of, usual, values

STATEFUL: tuple[Role, ...] = ("postgres", "redis", "prometheus")


def secrets_in(declared: Manifests) -> dict[str, str]:
    """Value → `object/key`."""
    found = {}
    for secret in declared.of("Secret"):
        for key, data in secret["data"].items():
            found[base64.b64decode(data).decode()] = f"{secret['metadata']['name']}/{key}"
    return found


def files_in(declared: Manifests, role: str) -> dict[str, str]:
    """Path of every projected file in a role's container → `object/key` it is from."""
    (container,) = declared.pods()[role]["spec"]["containers"]
    at = {mount["name"]: mount["mountPath"] for mount in container["volumeMounts"]}
    found = {}
    for volume in declared.pods()[role]["spec"].get("volumes", []):
        for source in volume.get("projected", {}).get("sources", []):
            (part,) = source.values()
            for item in part["items"]:
                found[f"{at[volume['name']]}/{item['path']}"] = f"{part['name']}/{item['key']}"
    return found


# How many, how large


def test_there_are_as_many_pods_as_described() -> None:
    declared = manifests(example(gateways={"replicas": 4}, edge={"hostname": "v.example.com", "replicas": 5}))
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
        "target": {"type": "Utilization", "averageUtilization": AUTOSCALE_CPU_PERCENT},
    }


def test_gateways_that_may_not_be_more_are_not_scaled() -> None:
    spec = example(gateways={"replicas": 3}, kubernetes={"max_replicas": 3})
    assert not manifests(spec).of("HorizontalPodAutoscaler")


# Replaced, spread, stopped


@pytest.mark.parametrize("role", ["gateway", "balancer"])
def test_pods_are_replaced_without_being_fewer(role: str) -> None:
    found = usual()[1].named("Deployment", f"veloz-{role}")["spec"]
    assert found["strategy"] == {"type": "RollingUpdate", "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1}}
    budget = usual()[1].named("PodDisruptionBudget", f"veloz-{role}")["spec"]
    assert budget == {"maxUnavailable": 1, "selector": found["selector"]}


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


# Configuration and secrets


def test_a_gateways_environment_is_the_descriptions() -> None:
    spec, declared = usual()
    container = declared.containers()["gateway"]
    found = dict(declared.named("ConfigMap", "veloz-gateway")["data"])
    assert container["envFrom"] == [{"configMapRef": {"name": "veloz-gateway"}}]
    fields = {}
    for variable in container["env"]:
        if "valueFrom" in variable:
            fields[variable["name"]] = variable["valueFrom"]["fieldRef"]["fieldPath"]
        else:
            assert variable["name"] not in found
            found[variable["name"]] = variable["value"]
    assert found == variables(spec, given=given(secrets_of(spec)))
    assert fields == {"POD_NAME": "metadata.name", "POD_IP": "status.podIP"}


def test_what_kubernetes_completes_stands_where_it_does_so() -> None:
    _, declared = usual()
    for found in declared.of("ConfigMap"):
        assert not [name for name, text in found["data"].items() if name.startswith("VELOZ_") and "$(" in text]
    told = [variable["name"] for variable in declared.containers()["gateway"]["env"]]
    assert told.index("POD_IP") < told.index("VELOZ_ADVERTISE_URL")
    assert told.index("POD_NAME") < told.index("VELOZ_GATEWAY_ID")


def test_each_file_that_a_container_is_told_of_is_there() -> None:
    spec, declared = usual()
    for role in spec.roles:
        container = declared.containers()[role]
        told = {v["name"]: v.get("value", "") for v in container.get("env", [])}
        for source in container.get("envFrom", []):
            told |= declared.named("ConfigMap", source["configMapRef"]["name"])["data"]
        wanted = {path for name, path in told.items() if name.endswith("_FILE")}
        assert wanted <= files_in(declared, role).keys(), role
    assert files_in(declared, "gateway")["/run/veloz/api_key"] == "veloz-secrets/api-key"


def test_every_key_that_a_pod_mounts_exists() -> None:
    spec, declared = usual()
    keys = {
        f"{found['metadata']['name']}/{key}" for found in declared.of("Secret", "ConfigMap") for key in found["data"]
    }
    for role in spec.roles:
        assert set(files_in(declared, role).values()) <= keys, role


def test_secrets_are_in_secrets_alone() -> None:
    spec = example()
    declared = manifests(spec)
    # What contains another, such as a DSN, counts as it.
    kept = secrets_in(declared)
    for name, value in values().items():
        places = {
            (found["kind"], path)
            for found in declared.objects
            for path, text in leaves(found)
            if found["kind"] != "Secret" and isinstance(text, str) and value in text
        }
        assert not places, name
    needed = [values()[name] for name in ("postgres_password", "redis_password", "api_key", "cluster_secret")]
    assert all(any(value in text for text in kept) for value in needed)
    assert kept[values()["tls_key"]] == "veloz-tls/tls.key"


def test_no_secret_is_in_an_environment() -> None:
    for role, container in usual()[1].containers().items():
        for variable in container.get("env", []):
            assert variable.get("valueFrom", {}).keys() <= {"fieldRef"}, role
        for source in container.get("envFrom", []):
            assert source.keys() == {"configMapRef"}, role


def test_files_are_for_the_pods_own_group() -> None:
    for role, pod in usual()[1].pods().items():
        context = pod["spec"]["securityContext"]
        assert context["runAsUser"] == context["runAsGroup"] == context["fsGroup"] >= 10_000, role
        assert context["fsGroupChangePolicy"] == "OnRootMismatch", role
        for volume in pod["spec"].get("volumes", []):
            for kind in ("projected", "configMap", "secret"):
                assert kind not in volume or volume[kind]["defaultMode"] == 0o440, role
    users = [pod["spec"]["securityContext"]["runAsUser"] for pod in usual()[1].pods().values()]
    assert len(users) == len(set(users))


def sums(declared: Manifests, name: str) -> dict[str, str]:
    return {role: pod["metadata"].get("annotations", {}).get(name, "") for role, pod in declared.pods().items()}


def changed(before: Manifests, after: Manifests) -> set[str]:
    """The roles whose pods are replaced."""
    return {role for role, pod in before.pods().items() if after.pods()[role] != pod}


def test_pods_are_replaced_when_their_configuration_changes() -> None:
    spec, before = usual()
    after = manifests(example(gateways={"settings": {"log_level": "DEBUG"}}))
    assert changed(before, after) == {"gateway"}
    assert sums(before, CONFIG_SUM)["gateway"] != sums(after, CONFIG_SUM)["gateway"]
    kept = manifests(example(monitoring={"keep_days": 7}))
    assert changed(before, kept) == {"prometheus"}
    assert manifests(spec).text == before.text


def test_a_balancer_reloads_and_is_not_replaced() -> None:
    _, before = usual()
    hsts = {"hostname": "veloz.example.com", "tls": {"hsts_seconds": 60}}
    after = manifests(example(edge=hsts))
    assert before.named("ConfigMap", "veloz-balancer") != after.named("ConfigMap", "veloz-balancer")
    assert changed(before, after) == set()
    spec = example()
    swapped = manifests(spec, secrets_of(spec, {"tls_certificate": "another"}))
    assert changed(before, swapped) == set()


def test_pods_are_replaced_when_a_secret_of_theirs_changes() -> None:
    spec, before = usual()
    after = manifests(spec, secrets_of(spec, {"redis_password": "another"}))
    assert changed(before, after) == {"gateway", "redis"}
    for role in ("gateway", "redis"):
        assert sums(before, SECRETS_SUM)[role] != sums(after, SECRETS_SUM)[role]


def test_the_sum_over_secrets_cannot_be_guessed() -> None:
    spec, before = usual()
    salted = manifests(spec, secrets_of(spec, {"cluster_secret": "another"}))
    assert sums(before, SECRETS_SUM)["grafana"] != sums(salted, SECRETS_SUM)["grafana"]


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


# Services


def test_services_find_the_ports_of_their_pods() -> None:
    spec, declared = usual()
    for found in declared.of("Service"):
        role = role_of(found)
        assert found["spec"]["selector"] == names.selector(spec, role)  # type: ignore[arg-type]
        inside = {port["containerPort"] for port in declared.containers()[role]["ports"]}
        assert {port["targetPort"] for port in found["spec"]["ports"]} <= inside


def test_only_the_balancer_is_published() -> None:
    spec, declared = usual()
    types = {found["metadata"]["name"]: found["spec"]["type"] for found in declared.of("Service")}
    assert types.pop("veloz-balancer") == "LoadBalancer"
    assert set(types.values()) == {"ClusterIP"}
    published = declared.named("Service", "veloz-balancer")["spec"]
    assert published["externalTrafficPolicy"] == "Local"
    assert {(port["port"], port["targetPort"]) for port in published["ports"]} == {
        (spec.edge.http_port, ports.BALANCER_HTTP),
        (spec.edge.https_port, ports.BALANCER_HTTPS),
    }


def test_gateways_are_found_when_they_are_ready_and_measured_always() -> None:
    _, declared = usual()
    ready = declared.named("Service", "veloz-gateway")["spec"]
    every = declared.named("Service", EVERY)["spec"]
    assert ready["clusterIP"] == every["clusterIP"] == "None"
    assert not ready.get("publishNotReadyAddresses")
    assert every["publishNotReadyAddresses"] is True
    assert EVERY in declared.named("ConfigMap", "veloz-prometheus")["data"]["prometheus.yml"]


def test_the_balancer_is_told_of_by_the_providers_annotations() -> None:
    annotations = {"service.beta.kubernetes.io/aws-load-balancer-type": "nlb"}
    spec = example(kubernetes={"load_balancer_annotations": annotations})
    assert manifests(spec).named("Service", "veloz-balancer")["metadata"]["annotations"] == annotations


# An ingress in the balancer's place


def with_ingress(**tls: str) -> Deployment:
    return example(
        edge={"hostname": "veloz.example.com", "kind": "ingress", "tls": {"source": "issued", "issuer": "le"} | tls},
        kubernetes={"ingress_class": "nginx"},
    )


def test_an_ingress_stands_in_for_the_balancer() -> None:
    declared = manifests(with_ingress())
    assert "balancer" not in declared.pods()
    assert {found["spec"]["type"] for found in declared.of("Service")} == {"ClusterIP"}
    first = declared.named("Ingress", "veloz")
    assert first["metadata"]["annotations"]["cert-manager.io/cluster-issuer"] == "le"
    for found in declared.of("Ingress"):
        assert found["spec"]["ingressClassName"] == "nginx"
        assert found["spec"]["tls"] == [{"hosts": ["veloz.example.com"], "secretName": "veloz-tls"}]
        (rule,) = found["spec"]["rules"]
        for path in rule["http"]["paths"]:
            assert path["backend"]["service"] == {"name": "veloz-gateway-http", "port": {"number": ports.GATEWAY}}
    assert "clusterIP" not in declared.named("Service", "veloz-gateway-http")["spec"]


def test_an_ingress_lets_nobody_through_to_what_gateways_say_to_each_other() -> None:
    found = manifests(with_ingress()).of("Ingress")
    paths = {path["path"] for each in found for rule in each["spec"]["rules"] for path in rule["http"]["paths"]}
    assert paths == {"/api", "/health", "/api/stream"}


def test_a_certificate_that_is_issued_is_no_secret_of_ours() -> None:
    assert [found["metadata"]["name"] for found in manifests(with_ingress()).of("Secret")] == ["veloz-secrets"]


def test_a_certificate_that_is_provided_is() -> None:
    declared = manifests(with_ingress(source="provided", issuer=""))
    assert declared.named("Secret", "veloz-tls")["type"] == "kubernetes.io/tls"
    assert "annotations" not in declared.named("Ingress", "veloz")["metadata"] or (
        "cert-manager.io/cluster-issuer" not in declared.named("Ingress", "veloz")["metadata"]["annotations"]
    )


# Stores elsewhere, and nothing to watch with


def test_external_stores_have_no_pods() -> None:
    spec = example(
        postgres={"store": "external", "host": "db.example.com"},
        redis={"store": "external", "host": "cache.example.com"},
        monitoring={"prometheus": False, "grafana": False},
    )
    declared = manifests(spec)
    assert declared.pods().keys() == {"gateway", "balancer"}
    assert secrets_in(declared)[values()["postgres_dsn"]] == "veloz-secrets/postgres-dsn"
    assert secrets_in(declared)[values()["redis_url"]] == "veloz-secrets/redis-url"
