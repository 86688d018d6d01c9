"""Containers that are there and that a stack does not know of, by the word of a real daemon."""

from __future__ import annotations

import os
import secrets
import subprocess
from collections.abc import Iterator

import pytest

from stacks.commands import strangers
from stacks.commands.docker_facts import LABEL
from stacks.commands.failures import Failure
from stacks.document import load
from stacks.spec import Deployment
from tests.stacks.commands.test_docker_standing import image

STACK = "prod"


@pytest.fixture
def spec() -> Iterator[Deployment]:
    """With gateway-1 and its files there, and one of a deployment with a longer name."""
    if not image():
        pytest.skip("needs a Docker daemon with an image debian, python or redis")
    made = load({"topology": "compose", "name": f"test-{secrets.token_hex(3)}"})
    names = {f"{made.name}-{it}": made.name for it in ("gateway-1", "gateway-1-files")}
    names[f"{made.name}-x-gateway-2"] = f"{made.name}-x"
    for name, of in names.items():
        subprocess.run(
            ["docker", "create", "--name", name, "--label", f"{LABEL}={of}", image(), "true"],
            capture_output=True, timeout=60, check=True,
        )  # fmt: skip
    yield made
    subprocess.run(["docker", "rm", "--force", *names], capture_output=True, timeout=60, check=False)


def test_what_the_state_does_not_know_is_refused_with_the_way(spec: Deployment) -> None:
    name = f"{spec.name}-gateway-1"
    with pytest.raises(Failure) as refused:
        strangers.check(spec, os.environ, {f"{name}-files", f"{spec.name}-gateway-2"}, STACK)
    said = str(refused.value)
    assert said.startswith(f"{name}: there already, of a deployment {spec.name} that the state of stack {STACK}")
    assert f"`docker rm --force {name}` takes them away" in said
    assert "Nothing was changed." in said


def test_those_that_it_knows_are_none(spec: Deployment) -> None:
    strangers.check(spec, os.environ, {f"{spec.name}-gateway-1", f"{spec.name}-gateway-1-files"}, STACK)


def test_a_daemon_that_does_not_answer_is_a_failure(spec: Deployment) -> None:
    with pytest.raises(Failure, match="does not list its containers"):
        strangers.check(spec, {"DOCKER_HOST": "unix:///nowhere.sock"}, (), STACK)
