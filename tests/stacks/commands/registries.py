"""A real registry on this machine: Debian's `docker-registry`, with a folder of its own; and images pushed to it.

What needs it is skipped where that program is missing: apt-get install docker-registry.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import time
import urllib.error
import urllib.request
from base64 import b64encode
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

import yaml

from tests.faults.gateway import free_port

PROGRAM = "docker-registry"
USER, PASSWORD = "reader", "a password of this test alone"
# Of that password, by `htpasswd -nbB`: the registry takes nothing but bcrypt.
_HTPASSWD = f"{USER}:$2b$04$qfUQQfpA116cdi4jX8gPW.hs.HCIbp.GCvYSENoF/iCsHXL7XaMgK\n"


class Registry(NamedTuple):
    """`config`: a folder as DOCKER_CONFIG names it, with its login where it wants one."""

    place: str
    config: Path

    def image(self, name: str = "veloz") -> str:
        """A name that no image has yet."""
        return f"{self.place}/{name}:1.0.0-{uuid4().hex[:12]}"


def missing() -> str:
    """Why there can be no registry with images here; empty when there can."""
    if not shutil.which(PROGRAM):
        return f"{PROGRAM} is not installed: apt-get install docker-registry"
    if not shutil.which("docker"):
        return "there is no docker command"
    if subprocess.run(["docker", "info"], capture_output=True, timeout=30, check=False).returncode:
        return "no Docker daemon answers"
    return ""


@contextmanager
def running(folder: Path, *, closed: bool = False) -> Iterator[Registry]:
    """`closed`: it wants a login."""
    port = free_port()
    place = f"127.0.0.1:{port}"
    settings: dict[str, object] = {
        "version": 0.1,
        "log": {"level": "error"},
        "storage": {"filesystem": {"rootdirectory": str(folder / "storage")}},
        "http": {"addr": place},
    }
    auths = {}
    if closed:
        (folder / "htpasswd").write_text(_HTPASSWD)
        settings["auth"] = {"htpasswd": {"realm": "test", "path": str(folder / "htpasswd")}}
        auths = {place: {"auth": b64encode(f"{USER}:{PASSWORD}".encode()).decode()}}
    (folder / "registry.yml").write_text(yaml.safe_dump(settings))
    config = folder / "docker"
    config.mkdir()
    (config / "config.json").write_text(json.dumps({"auths": auths}))
    with (folder / "log").open("wb") as log:
        process = subprocess.Popen([PROGRAM, "serve", str(folder / "registry.yml")], stdout=log, stderr=log)
        try:
            _await(process, f"http://{place}/v2/", folder / "log")
            yield Registry(place, config)
        finally:
            process.terminate()
            process.wait(10)


def _await(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    deadline = time.monotonic() + 20
    while process.poll() is None and time.monotonic() < deadline:
        try:
            with urllib.request.urlopen(url, timeout=2):
                return
        except urllib.error.HTTPError:
            return
        except OSError:
            time.sleep(0.05)
    raise AssertionError(f"{PROGRAM} does not answer: {log.read_text()[-2000:]}")


@contextmanager
def built(image: str, labels: Mapping[str, str]) -> Iterator[str]:
    """An image with nothing but labels, which takes no room; its name is gone afterwards. Its identity."""
    words = [word for name, value in labels.items() for word in ("--label", f"{name}={value}")]
    dockerfile = f"FROM scratch\nLABEL io.veloz.test={uuid4().hex}\n"
    subprocess.run(
        ["docker", "build", "--quiet", "--tag", image, *words, "-"], input=dockerfile, text=True, check=True,
        capture_output=True, timeout=60,
    )  # fmt: skip
    try:
        yield image
    finally:
        subprocess.run(["docker", "image", "rm", "--force", image], capture_output=True, timeout=60, check=False)


def push(registry: Registry, image: str) -> None:
    done = subprocess.run(
        ["docker", "--config", str(registry.config), "push", image],
        capture_output=True, text=True, timeout=60, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def pushed(registry: Registry, labels: Mapping[str, str]) -> str:
    """The name of an image that is there and on no Docker host."""
    with built(registry.image(), labels) as image:
        push(registry, image)
    return image
