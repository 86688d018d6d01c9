"""The objects as YAML: in an order that can be applied, always the same, without secrets unless they are given."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from stacks import policy
from stacks.components.k8s.mounts import SECRETS_SUM
from stacks.document import STACKS, read_stack
from stacks.kubernetes import deploy
from stacks.render import render
from stacks.rules.model import SECRET
from stacks.secrets import Secrets
from tests.stacks.manifests import IMAGE, example, leaves, manifests, secrets_of, usual, values
from tests.stacks.recorder import configured, record

POLICY = "kubernetes:networking.k8s.io/v1:NetworkPolicy"
CONFIG = "kubernetes:core/v1:ConfigMap"
STACK = STACKS / "Pulumi.kubernetes.yaml"


def key(found: dict[str, Any]) -> tuple[str, str]:
    return found["kind"], found["metadata"]["name"]


def test_the_namespace_is_first_and_what_pods_need_before_them() -> None:
    kinds = [found["kind"] for found in usual()[1].objects]
    assert kinds[0] == "Namespace"
    pods = min(kinds.index(kind) for kind in ("Deployment", "StatefulSet"))
    assert not {"ServiceAccount", "NetworkPolicy", "Secret", "ConfigMap", "Service"} & set(kinds[pods:])


def test_without_secrets_all_else_is_there() -> None:
    spec, whole = usual()
    text = render(spec, None, IMAGE)
    found = {key(each): each for each in yaml.safe_load_all(text)}
    assert found.keys() == {key(each) for each in whole.objects if each["kind"] != "Secret"}
    for each in found.values():
        assert not [path for path, _ in leaves(each) if SECRETS_SUM in path]
    assert not [name for name, value in values().items() if value in text]


def test_the_text_is_the_same_in_every_process() -> None:
    program = (
        "import sys; from pathlib import Path; from stacks.document import read_stack; from stacks.render import render;"
        f"sys.stdout.write(render(read_stack(Path({str(STACK)!r})), None, {IMAGE!r}))"
    )
    texts = {
        subprocess.run(
            [sys.executable, "-c", program], env={"PYTHONHASHSEED": seed}, check=True, capture_output=True, text=True
        ).stdout
        for seed in ("1", "2")
    }
    assert texts == {render(read_stack(STACK), None, IMAGE)}


def test_a_configuration_reads_as_it_is_written() -> None:
    _, declared = usual()
    config = declared.named("ConfigMap", "veloz-balancer")["data"]["haproxy.cfg"]
    assert "haproxy.cfg: |\n" in declared.text
    assert "frontend" in config


def test_it_is_what_the_program_declares() -> None:
    """The real `__main__.py`, recorded, declares the same objects; an autoscaler's number is not applied again."""
    spec = read_stack(STACK)
    document = yaml.safe_load(STACK.read_text())
    document["config"]["veloz:deployment"].setdefault("images", {})["veloz"] = IMAGE
    given = {name: value for name, value in values().items() if getattr(secrets_of(spec), name)}
    seen = record(config=configured(document["config"], given))
    objects = [each.inputs for each in seen.resources if each.type.startswith("kubernetes:")]
    (gateways,) = [each for each in objects if key(each) == ("Deployment", "veloz-gateway")]
    assert gateways["spec"].pop("replicas") == spec.gateways.replicas
    # Pulumi's recorder gives YAML's numbers as they are in JSON.
    assert sorted(json.dumps(each, sort_keys=True) for each in objects) == sorted(
        json.dumps(each, sort_keys=True) for each in manifests(spec, secrets_of(spec)).objects
    )
    assert seen.outputs["url"] == f"https://{spec.edge.hostname}"
    assert seen.named(spec.name).protect
    for each in seen.resources:
        if each.type == "kubernetes:core/v1:Secret":
            assert all(each.secret("data", name) for name in each.inputs["data"])
    assert not [each.name for each in seen.resources for text in given.values() if text in json.dumps(each.inputs)]


def test_our_own_policy_has_nothing_to_say() -> None:
    spec = example()
    seen = record(lambda: deploy(spec, secrets_of(spec), IMAGE).export())
    resources = [policy.Resource(each.type, each.name, _marked(each.inputs, each.secret)) for each in seen.resources]
    assert policy.check(resources, policy.given(spec, values().values())) == []


def _marked(value: Any, secret: Callable[..., bool], *where: str | int) -> Any:  # noqa: ANN401 (JSON)
    """As the engine shows it: of a secret only that it is one."""
    if where and secret(*where):
        return SECRET
    if isinstance(value, dict):
        return {name: _marked(item, secret, *where, name) for name, item in value.items()}
    if isinstance(value, list):
        return [_marked(item, secret, *where, n) for n, item in enumerate(value)]
    return value


def test_pods_come_after_what_they_start_with() -> None:
    """Rules, secrets and their own configuration: a pod of a new revision must not start with the last one's."""
    spec = example()
    seen = record(lambda: deploy(spec, secrets_of(spec), IMAGE).export())
    rules = {(POLICY, each.name) for each in seen.of(POLICY)}
    assert {"veloz-nothing", "veloz-gateway", "veloz-gateway-out"} <= {name for _, name in rules}
    configured = {each.name for each in seen.of(CONFIG)}
    assert configured == {f"veloz-{role}" for role in ("gateway", "balancer", "postgres", "prometheus", "grafana")}
    pods = [each for each in seen.resources if each.type.rsplit(":", 1)[-1] in {"Deployment", "StatefulSet"}]
    assert len(pods) == len(spec.roles)
    for each in pods:
        secrets = {("kubernetes:core/v1:Secret", name) for name in ("veloz-secrets", "veloz-tls")}
        assert rules | secrets | {(CONFIG, name) for name in {each.name} & configured} <= each.after, each.name
    (gateways,) = (each for each in pods if each.name == "veloz-gateway")
    assert {("kubernetes:apps/v1:StatefulSet", f"veloz-{store}") for store in ("postgres", "redis")} <= gateways.after


def test_an_autoscaler_may_change_how_many_there_are() -> None:
    for most, ignored in ((6, ("spec.replicas",)), (3, ())):
        spec = example(kubernetes={"max_replicas": most})
        seen = record(lambda spec=spec: deploy(spec, secrets_of(spec), IMAGE).export())  # type: ignore[misc]
        (gateways,) = (e for e in seen.of("kubernetes:apps/v1:Deployment") if e.name == "veloz-gateway")
        assert gateways.ignore_changes == ignored


def test_the_address_is_the_clusters() -> None:
    spec = example()

    def given(kind: str, _: dict[str, Any]) -> dict[str, Any]:
        return {"status": {"loadBalancer": {"ingress": [{"ip": "192.0.2.1"}]}}} if kind.endswith(":Service") else {}

    assert (
        record(lambda: deploy(spec, secrets_of(spec), IMAGE).export(), computed=given).outputs["address"] == "192.0.2.1"
    )
    assert record(lambda: deploy(spec, secrets_of(spec), IMAGE).export()).outputs["address"] == ""


def test_a_missing_secret_is_refused() -> None:
    with pytest.raises(ValueError, match="cluster_secret"):
        render(example(), Secrets(), IMAGE)


def test_stacks_are_where_they_are_said_to_be() -> None:
    assert Path(STACK).is_file()


def test_a_changed_object_is_changed_where_it_is() -> None:
    """The provider's default is to delete config maps and secrets, and to create them anew."""
    spec = example()
    seen = record(lambda: deploy(spec, secrets_of(spec), IMAGE).export())
    (provider,) = seen.of("pulumi:providers:kubernetes")
    assert provider.inputs["enableConfigMapMutable"] == "true"
    assert provider.inputs["enableSecretMutable"] == "true"
