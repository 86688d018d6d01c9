"""The pack as Pulumi's engine talks to it: the real process over its own protocol, without the engine."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import grpc
import pytest
import yaml
from google.protobuf import empty_pb2, json_format, struct_pb2
from pulumi.runtime.proto import analyzer_pb2, analyzer_pb2_grpc

from stacks.policy import RULES, STACK_RULES

ROOT = Path(__file__).resolve().parents[2]
PACK = ROOT / "stacks" / "policy_pack"
DATA: dict[str, Any] = yaml.safe_load((Path(__file__).parent / "data" / "policy.yaml").read_text())
UNKNOWN = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"


@contextmanager
def analyzing(**deployment: Any) -> Iterator[Any]:  # noqa: ANN401 - as a stack file has it
    """The pack of a stack with this description."""
    environ = {
        **os.environ,
        "PULUMI_CONFIG": json.dumps({"veloz:deployment": json.dumps(deployment)}),
        "PULUMI_PROJECT": "veloz",
        "PULUMI_STACK": "test",
        "PULUMI_DRY_RUN": "true",
    }
    with subprocess.Popen([sys.executable, "-u", str(PACK)], stdout=subprocess.PIPE, env=environ) as process:
        try:
            assert process.stdout
            port = int(process.stdout.readline())
            with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
                yield analyzer_pb2_grpc.AnalyzerStub(channel)
        finally:
            process.kill()


@pytest.fixture(scope="module")
def analyzer() -> Iterator[Any]:
    with analyzing(topology="compose", edge={"hostname": "localhost"}) as stub:
        yield stub


@pytest.fixture(scope="module")
def with_ingress() -> Iterator[Any]:
    with analyzing(topology="kubernetes", edge={"kind": "ingress", "hostname": "veloz.example.com"}) as stub:
        yield stub


def analyze(analyzer: Any, name: str, **changes: Any) -> set[str]:  # noqa: ANN401
    one = DATA["resources"][name]
    properties = json_format.ParseDict({**one["inputs"], **changes}, struct_pb2.Struct())
    request = analyzer_pb2.AnalyzeRequest(
        type=one["type"], name=name, urn=f"urn:pulumi:test::veloz::{one['type']}::{name}", properties=properties
    )
    return {found.policyName for found in analyzer.Analyze(request).diagnostics}


def test_every_rule_is_in_the_pack_and_mandatory(analyzer: Any) -> None:  # noqa: ANN401
    info = analyzer.GetAnalyzerInfo(empty_pb2.Empty())
    assert {policy.name for policy in info.policies} == {rule.id for rule in RULES} | {rule.id for rule in STACK_RULES}
    assert {policy.enforcementLevel for policy in info.policies} == {analyzer_pb2.MANDATORY}


# The analyzer's stack has no ingress; `with_ingress` has.
@pytest.mark.parametrize("name", sorted(DATA["resources"].keys() - {"ingress"}))
def test_what_meets_the_rules_passes(analyzer: Any, name: str) -> None:  # noqa: ANN401
    assert analyze(analyzer, name) == set()


def test_an_ingress_leads_to_the_gateways_where_the_description_has_one(analyzer: Any, with_ingress: Any) -> None:  # noqa: ANN401
    elsewhere = {"defaultBackend": {"service": {"name": "veloz-postgres"}}}
    assert analyze(with_ingress, "ingress") == set()
    assert analyze(with_ingress, "ingress", spec=elsewhere) == {"k8s-ingress"}
    assert analyze(analyzer, "ingress") == {"k8s-ingress"}


@pytest.mark.parametrize("name", ["namespace", "deny", "allow", "secret", "deployment"])
def test_what_meets_the_rules_passes_beside_an_ingress(with_ingress: Any, name: str) -> None:  # noqa: ANN401
    assert analyze(with_ingress, name) == set()


def test_what_breaks_a_rule_is_reported_by_its_name(analyzer: Any) -> None:  # noqa: ANN401
    assert analyze(analyzer, "container", readOnly=False) == {"docker-read-only"}
    assert analyze(analyzer, "container", envs=["GRAFANA_PASSWORD=x"]) == {"secret-environment"}
    assert analyze(analyzer, "container", ports=[{"external": 9, "ip": "127.0.0.1"}]) == {"docker-published"}
    assert analyze(analyzer, "namespace", metadata={"name": "veloz"}) == {"k8s-pod-security"}


def test_the_stacks_rules_see_all_resources(analyzer: Any) -> None:  # noqa: ANN401
    def stack(*names: str) -> set[str]:
        resources = [
            analyzer_pb2.AnalyzerResource(
                type=DATA["resources"][name]["type"],
                name=name,
                urn=f"urn:pulumi:test::veloz::x::{name}",
                properties=json_format.ParseDict(DATA["resources"][name]["inputs"], struct_pb2.Struct()),
            )
            for name in names
        ]
        request = analyzer_pb2.AnalyzeStackRequest(resources=resources)
        return {found.policyName for found in analyzer.AnalyzeStack(request).diagnostics}

    assert stack("namespace", "deny") == set()
    assert stack("namespace", "deployment") == {"k8s-default-deny"}


def test_what_a_preview_does_not_know_is_no_violation(analyzer: Any) -> None:  # noqa: ANN401
    one = DATA["resources"]["container"]
    properties = json_format.ParseDict({**one["inputs"], "image": UNKNOWN}, struct_pb2.Struct())
    request = analyzer_pb2.AnalyzeRequest(type=one["type"], name="x", urn="urn:x", properties=properties)
    levels = {found.enforcementLevel for found in analyzer.Analyze(request).diagnostics}
    assert levels <= {analyzer_pb2.ADVISORY}
