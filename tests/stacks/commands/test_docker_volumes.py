"""Volumes with data on a real daemon: found by the deployment's label, deleted by that alone."""

from __future__ import annotations

import os
import secrets
import shutil
import subprocess
from collections.abc import Iterator

import pytest

from stacks.commands import docker_facts, docker_volumes
from stacks.document import load
from stacks.spec import Deployment


def docker(*arguments: str, check: bool = True) -> str:
    return subprocess.run(["docker", *arguments], capture_output=True, text=True, timeout=60, check=check).stdout


@pytest.fixture
def spec() -> Iterator[Deployment]:
    if not shutil.which("docker") or subprocess.run(["docker", "info"], capture_output=True, check=False).returncode:
        pytest.skip("needs a Docker daemon")
    made = load({"topology": "compose", "name": f"test-{secrets.token_hex(3)}"})
    yield made
    docker("volume", "rm", *docker("volume", "ls", "--quiet", "--filter", f"name={made.name}").split(), check=False)


def test_data_of_the_deployment_is_found_and_deleted_and_nothing_else(spec: Deployment) -> None:
    name = spec.name
    ours = ["--label", f"{docker_facts.LABEL}={name}"]
    for what in ("postgres-data", "grafana-data", "gateway-1-files", "gateway-1-files-01234567"):
        docker("volume", "create", *ours, f"{name}-{what}")
    docker("volume", "create", f"{name}-redis-data")  # a stranger's
    docker("volume", "create", "--label", f"{docker_facts.LABEL}={name}x", f"{name}-x-data")
    data = [f"{name}-grafana-data", f"{name}-postgres-data"]
    assert docker_volumes.data(spec, os.environ) == data
    assert docker_volumes.remove(spec, os.environ, data[:1]) == data[:1]
    assert docker_volumes.data(spec, os.environ) == data[1:]
    assert docker_volumes.remove(spec, os.environ, data) == data[1:]
    left = set(docker("volume", "ls", "--quiet", "--filter", f"name={name}").split())
    assert left == {
        f"{name}-gateway-1-files",
        f"{name}-gateway-1-files-01234567",
        f"{name}-redis-data",
        f"{name}-x-data",
    }
