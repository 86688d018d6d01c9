"""What a real daemon says of containers, in the words of standing.py; without one nothing is asked."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator

import pytest

from stacks.commands import docker_standing
from stacks.commands.failures import Failure
from stacks.commands.standing import Part
from stacks.document import load
from stacks.spec import Deployment
from tests.stacks.images.test_watch import eventually

SLEEP = ["sleep", "600"]


def image() -> str:
    """Some image that is here and has a shell; empty without a daemon or one of those."""
    if not shutil.which("docker"):
        return ""
    listed = subprocess.run(
        ["docker", "image", "ls", "--format", "{{.Repository}}:{{.Tag}}", "--filter", "dangling=false"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    there = listed.stdout.split()
    return next((name for name in there if name.startswith(("debian:", "python:", "redis:"))), "")


@pytest.fixture
def spec() -> Iterator[Deployment]:
    if not image():
        pytest.skip("needs a Docker daemon with an image debian, python or redis")
    made = load({"topology": "compose", "name": f"test-{secrets.token_hex(3)}", "monitoring": {"grafana": False}})
    yield made
    subprocess.run(
        ["docker", "rm", "--force", *docker_standing.wanted(made)], capture_output=True, timeout=60, check=False
    )


def start(name: str, command: list[str], *options: str) -> None:
    subprocess.run(
        ["docker", "run", "--detach", "--network", "none", "--name", name, *options, "--entrypoint", command[0],
         image(), *command[1:]],
        capture_output=True, timeout=60, check=True,
    )  # fmt: skip


def looked(spec: Deployment) -> dict[str, Part]:
    prefix = f"{spec.name}-"
    return {part.name.removeprefix(prefix): part for part in docker_standing.read(spec, os.environ)}


def test_each_is_what_its_health_check_says(spec: Deployment) -> None:
    check = ["--health-interval", "1s", "--health-retries", "1", "--health-cmd"]
    start(f"{spec.name}-gateway-1", SLEEP, *check, "true")
    start(f"{spec.name}-gateway-2", SLEEP, *check, "echo so it is; false")
    start(f"{spec.name}-gateway-3", ["sh", "-c", "exit 3"], "--restart", "no")
    start(f"{spec.name}-redis", SLEEP, "--health-interval", "1h", "--health-cmd", "true")
    eventually(lambda: {"well", "unwell"} <= {part.state for part in looked(spec).values()})
    found = looked(spec)
    assert {name: part.state for name, part in found.items()} == {
        "gateway-1": "well", "gateway-2": "unwell", "gateway-3": "down", "redis": "starting",
    }  # fmt: skip
    assert found["gateway-2"].why == "so it is"
    assert found["gateway-3"].why == "exited, exit status 3"
    assert 0 < found["gateway-1"].age < 60


def test_one_that_restarts_is_counted(spec: Deployment) -> None:
    start(f"{spec.name}-redis", ["sh", "-c", "sleep 0.1"], "--restart", "always")
    eventually(lambda: looked(spec)["redis"].restarts >= 2)


def test_a_daemon_that_does_not_answer_is_a_failure(spec: Deployment) -> None:
    with pytest.raises(Failure, match="does not say how the containers stand"):
        docker_standing.read(spec, {"DOCKER_HOST": "unix:///nowhere.sock"})
