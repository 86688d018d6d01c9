"""What the real program declares meets every rule: the examples, and descriptions that nobody wrote."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings

from stacks import policy
from stacks.document import STACKS, read_stack
from stacks.rules.model import SECRET
from stacks.spec import Deployment
from tests.stacks import recorder
from tests.stacks.declared import declare, secret_values
from tests.stacks.strategies import deployments


def violations(spec: Deployment) -> list[policy.Violation]:
    recording = declare(spec, computed=_answers)
    resources = [policy.Resource(one.type, one.name, _hidden(one.inputs, one.secrets)) for one in recording.resources]
    return policy.check(resources, policy.given(spec, secret_values(spec).values()))


def _answers(kind: str, inputs: dict[str, Any]) -> dict[str, Any]:
    return {"imageName": inputs["imageName"]} if kind == "docker:index/image:Image" else {}


def _hidden(value: Any, secrets: frozenset[recorder.Where], at: recorder.Where = ()) -> Any:  # noqa: ANN401
    """As a preview shows it."""
    if at in secrets:
        return SECRET
    if isinstance(value, dict):
        return {key: _hidden(inner, secrets, (*at, key)) for key, inner in value.items()}
    if isinstance(value, list):
        return [_hidden(inner, secrets, (*at, index)) for index, inner in enumerate(value)]
    return value


@pytest.mark.parametrize("path", sorted(STACKS.glob("Pulumi.*.yaml")), ids=lambda path: path.name)
def test_the_examples_meet_the_policy(path: Path) -> None:
    assert violations(read_stack(path)) == []


@pytest.mark.parametrize("topology", ["single", "compose", "kubernetes"])
def test_every_valid_description_meets_the_policy(topology: Any) -> None:  # noqa: ANN401
    @settings(max_examples=10, deadline=None, suppress_health_check=list(HealthCheck))
    @given(spec=deployments(topology))
    def holds(spec: Deployment) -> None:
        assert violations(spec) == []

    holds()
