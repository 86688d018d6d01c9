"""Of any valid description: objects are what Kubernetes' own schema wants, pods are restricted, policies are the table's."""

from __future__ import annotations

from functools import cache
from pathlib import Path

import kubernetes_validate
import pytest
from hypothesis import HealthCheck, Phase, given, settings

from stacks import reach
from stacks.document import STACKS, read_stack
from stacks.spec import Deployment
from tests.stacks.manifests import Manifests, manifests
from tests.stacks.pod_security import violations
from tests.stacks.strategies import deployments
from tests.stacks.test_network_policies import allowed

VERSION = "1.36"
EXAMPLES = [path for path in sorted(STACKS.glob("Pulumi.*.yaml")) if read_stack(path).topology == "kubernetes"]


@pytest.fixture(autouse=True)
def schemas_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """It reads megabytes of definitions for each object."""
    monkeypatch.setattr(kubernetes_validate.utils, "schema_contents", _schema_contents)


_schema_contents = cache(kubernetes_validate.utils.schema_contents)


def valid(declared: Manifests) -> None:
    for found in declared.objects:
        kubernetes_validate.validate(found, VERSION, strict=True)


@pytest.mark.parametrize("path", EXAMPLES, ids=lambda path: path.name)
def test_the_examples_objects_are_valid(path: Path) -> None:
    valid(manifests(read_stack(path)))


# An example takes a second: what fails is shown as it was drawn.
@settings(
    max_examples=15,
    deadline=None,
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.function_scoped_fixture],
)
@given(deployments("kubernetes"))
def test_any_descriptions_objects_are_what_they_must_be(spec: Deployment) -> None:
    declared = manifests(spec)
    valid(declared)
    assert declared.pods().keys() == set(spec.roles)
    for role, pod in declared.pods().items():
        assert violations(pod["spec"], pod["metadata"].get("annotations")) == [], role
    assert {edge for edge, _ in allowed(spec, declared)} == {e for e in reach.edges(spec) if e.source != "operator"}


def test_an_object_that_is_not_valid_is_noticed() -> None:
    wrong = {"apiVersion": "v1", "kind": "Service", "metadata": {"name": "x"}, "spec": {"port": 1}}
    with pytest.raises(kubernetes_validate.ValidationError):
        valid(Manifests("", (wrong,)))
