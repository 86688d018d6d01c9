"""Containers of a test, hardened as deployments have them, with a network and volumes of their own; all go with it."""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from stacks.spec import Images
from tests.e2e.docker_host import docker, inspect

# Other names than the model's defaults: {"postgres": "postgres:15.1"}.
_OTHERS: dict[str, str] = json.loads(os.environ.get("VELOZ_E2E_IMAGES", "{}"))
HARDENED = ("--read-only", "--cap-drop", "ALL", "--security-opt", "no-new-privileges", "--pids-limit", "256", "--init")


def missing() -> str:
    """Why no image can be built here; empty when one can."""
    if not os.environ.get("VELOZ_E2E"):
        return "images are built by `make e2e` (VELOZ_E2E=1)"
    if not shutil.which("docker"):
        return "docker is not installed"
    if subprocess.run(["docker", "info"], capture_output=True, timeout=30, check=False).returncode:
        return "no Docker daemon answers"
    return ""


def image(name: str) -> str:
    """Of a field of `images` in the description."""
    return str(_OTHERS.get(name) or getattr(Images(), name))


def had(*names: str) -> None:
    """These images are there, or can be pulled; else the test is skipped."""
    for wanted in map(image, names):
        for command in (["image", "inspect", wanted], ["pull", wanted]):
            done = subprocess.run(["docker", *command], capture_output=True, text=True, timeout=600, check=False)
            if done.returncode == 0:
                break
        else:
            pytest.skip(f"{wanted} is not on this machine and cannot be pulled: {done.stderr.strip()}")


def logs(container: str) -> str:
    done = subprocess.run(["docker", "logs", container], capture_output=True, text=True, check=False)
    return done.stdout + done.stderr


def base(container: str, port: int) -> str:
    """Where this machine reaches a published port of it."""
    (published,) = inspect(container)["NetworkSettings"]["Ports"][f"{port}/tcp"]
    return f"http://127.0.0.1:{published['HostPort']}"


class Place:
    """Everything in it has one prefix."""

    def __init__(self) -> None:
        self.prefix = f"e2e-images-{secrets.token_hex(3)}"

    def name(self, part: str) -> str:
        return f"{self.prefix}-{part}"

    def run(self, part: str, image: str, *options: str, command: tuple[str, ...] = ()) -> str:
        docker("run", "--detach", "--name", self.name(part), "--network", self.prefix, *options, image, *command)
        return self.name(part)

    def remove(self) -> None:
        mine = ["--quiet", "--filter", f"name={self.prefix}"]
        if containers := docker("ps", "--all", *mine).split():
            docker("rm", "--force", "--volumes", *containers)
        for kind in ("volume", "network"):
            if found := docker(kind, "ls", *mine).split():
                docker(kind, "rm", *found)


@contextmanager
def place() -> Iterator[Place]:
    here = Place()
    docker("network", "create", here.prefix)
    try:
        yield here
    finally:
        here.remove()


def healthy(container: str, seconds: float = 120) -> None:
    deadline = time.monotonic() + seconds
    while (state := inspect(container)["State"])["Health"]["Status"] != "healthy":
        assert state["Running"], logs(container)[-3000:]
        assert time.monotonic() < deadline, f"not healthy: {state['Health']} {logs(container)[-3000:]}"
        time.sleep(0.2)
