"""Configuration and secrets on Kubernetes are where the description says, and nowhere else."""

from __future__ import annotations

import base64

from stacks.components.k8s.mounts import CONFIG_SUM, SECRETS_SUM
from stacks.environment import variables
from stacks.files import given
from tests.stacks.manifests import Manifests, example, leaves, manifests, secrets_of, usual, values


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
