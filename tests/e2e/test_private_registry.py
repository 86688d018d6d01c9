"""Pulumi's Docker provider takes an image from a registry that wants a login: the docker command's, which the state has not.

Needs Docker, Pulumi and Debian's package docker-registry.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from uuid import uuid4

import pytest

from tests.e2e.deployment import ROOT, missing
from tests.e2e.docker_host import docker
from tests.stacks.commands import registries
from tests.stacks.commands.registries import PASSWORD

pytestmark = [pytest.mark.alone, pytest.mark.timeout(600)]
PROGRAM = """
import os

import pulumi
import pulumi_docker as docker

from stacks.components.logins import logins
from stacks.document import load

image = os.environ["IMAGE"]
spec = load({"topology": "compose", "images": {"veloz": image}})
provider = docker.Provider("docker", registry_auth=logins(spec))
docker.Container("one", name=os.environ["NAME"], image=image, command=["x"], start=False, must_run=False,
                 opts=pulumi.ResourceOptions(provider=provider))
"""


class Project:
    def __init__(self, folder: Path, image: str) -> None:
        self.folder = folder
        self.name = f"e2e-login-{uuid4().hex[:6]}"
        (folder / "Pulumi.yaml").write_text("name: login\nruntime: python\n")
        (folder / "__main__.py").write_text(PROGRAM)
        self.environ = os.environ | {
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
            "PYTHONPATH": str(ROOT),
            "PULUMI_BACKEND_URL": folder.as_uri(),
            "PULUMI_CONFIG_PASSPHRASE": "x",
            "PULUMI_SKIP_UPDATE_CHECK": "true",
            "IMAGE": image,
            "NAME": self.name,
        }

    def pulumi(self, *arguments: str, config: Path) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["pulumi", "--non-interactive", "--color", "never", "--stack", "login", *arguments],
            cwd=self.folder,
            env=self.environ | {"DOCKER_CONFIG": str(config)},
            capture_output=True,
            text=True,
            timeout=300,
            check=False,
        )


def test_the_docker_command_s_login_is_used_and_not_kept(tmp_path: Path) -> None:
    if why := missing() or registries.missing():
        pytest.skip(why)
    with registries.running(tmp_path, closed=True) as closed:
        image = registries.pushed(closed, {})
        project = Project(tmp_path, image)
        nobody = tmp_path / "nobody"
        nobody.mkdir()
        assert project.pulumi("stack", "init", config=nobody).returncode == 0
        try:
            refused = project.pulumi("up", "--yes", "--skip-preview", config=nobody)
            assert refused.returncode
            assert "no basic auth credentials" in refused.stdout + refused.stderr
            done = project.pulumi("up", "--yes", "--skip-preview", config=closed.config)
            assert done.returncode == 0, done.stdout + done.stderr
            state = project.pulumi("stack", "export", "--show-secrets", config=closed.config).stdout
            known = json.loads((closed.config / "config.json").read_text())["auths"][closed.place]["auth"]
            assert closed.place in state
            assert PASSWORD not in state
            assert known not in state
            # Somebody without that login changes the provider alone, and no container.
            other = project.pulumi("up", "--yes", "--skip-preview", "--json", config=nobody)
            assert other.returncode == 0, other.stdout + other.stderr
            assert "replace" not in other.stdout
        finally:
            project.pulumi("destroy", "--yes", "--skip-preview", config=nobody)
            subprocess.run(["docker", "image", "rm", "--force", image], capture_output=True, timeout=60, check=False)
    assert project.name not in docker("ps", "--all", "--format", "{{.Names}}").split()
