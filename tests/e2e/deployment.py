"""A stack that Pulumi really brings up on this machine: its description, its secrets, its commands, its end."""

from __future__ import annotations

import json
import os
import re
import resource
import secrets
import shutil
import ssl
import subprocess
import sys
import time
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, Self

import aiohttp
import aiohttp.connector
import yaml

from stacks import names, ports
from stacks.commands.certificates import generate
from stacks.commands.client import Edge
from stacks.commands.smoke import smoke
from stacks.document import STACKS, load
from stacks.secrets import random_names
from stacks.spec import Deployment, Limits
from tests.e2e.docker_host import docker, remove
from tests.faults.gateway import free_port
from tests.faults.system import System
from tests.faults.waiting import until

ROOT = Path(__file__).resolve().parents[2]
PLUGIN = "docker"
PLUGIN_VERSION = "5.2.0"
UP_SECONDS = 1800
READY_SECONDS = 60
PREVIEW_SECONDS = 15.0
# Images of another name than the model's defaults: {"nginx": "nginx:1.22.1", "grafana": ""}; "" is none at all.
IMAGES: dict[str, str] = json.loads(os.environ.get("VELOZ_E2E_IMAGES", "{}"))


def missing() -> str:
    """Why nothing can be brought up here; empty when it can."""
    if not os.environ.get("VELOZ_E2E"):
        return "real deployments are brought up by `make e2e` (VELOZ_E2E=1)"
    for program in ("docker", "pulumi"):
        if not shutil.which(program):
            return f"{program} is not installed"
    if subprocess.run(["docker", "info"], capture_output=True, timeout=30, check=False).returncode:
        return "no Docker daemon answers"
    if not shutil.which(f"pulumi-resource-{PLUGIN}"):
        install = ["pulumi", "plugin", "install", "resource", PLUGIN, PLUGIN_VERSION]
        done = subprocess.run(install, capture_output=True, text=True, timeout=300, check=False)
        if done.returncode:
            return (
                f"Pulumi's plugin {PLUGIN} {PLUGIN_VERSION} is missing and cannot be had: {done.stderr.strip()[-200:]}"
            )
    return ""


class Deployed(System):
    """One stack, with a name of its own for everything that it makes. Leaving it removes all of it."""

    def __init__(self, directory: Path, document: Mapping[str, Any]) -> None:
        self.directory = directory
        self.name = f"e2e-{secrets.token_hex(3)}"
        self.stack = self.name
        self.file = STACKS / f"Pulumi.{self.stack}.yaml"
        self.authority = directory / "ca.crt"
        self._environ = os.environ | {
            "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)]),
            "PULUMI_BACKEND_URL": directory.as_uri(),
            "PULUMI_CONFIG_PASSPHRASE": secrets.token_hex(16),
            "PULUMI_SKIP_UPDATE_CHECK": "true",
        }
        self._document = dict(document) | {"name": self.name}
        images = {name: tag for name, tag in IMAGES.items() if tag}
        self._document["images"] = images | dict(document.get("images", {}))
        # A daemon here can raise its containers' limit no further than its own.
        most = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        self._document["limits"] = {"open_files": min(most, Limits().open_files)} | dict(document.get("limits", {}))
        self.secrets: dict[str, str] = {}
        self.database = ""  # of a deployed server, as the host reaches it

    def __enter__(self) -> Self:
        try:
            self.pulumi("stack", "init", self.stack)
            self._make_secrets()
            self.describe()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self.remove_files()
        remove(self.name)

    def remove_files(self) -> None:
        self.file.unlink(missing_ok=True)
        self.records.unlink(missing_ok=True)

    @property
    def records(self) -> Path:
        """Of its releases."""
        return self.file.with_name(f"Pulumi.{self.stack}.releases.jsonl")

    # What it is told

    @property
    def spec(self) -> Deployment:
        return load(self._document)

    def describe(self, **changes: Any) -> None:  # noqa: ANN401 - as a stack file has it
        """Write the stack file, with these changes from now on."""
        self._document = _merged(self._document, changes)
        whole = yaml.safe_load(self.file.read_text())
        whole["config"]["veloz:deployment"] = self._document
        self.file.write_text(yaml.safe_dump(whole))

    def set_secrets(self, **values: str) -> None:
        self.secrets |= values
        self.pulumi(
            "config", "set-all", "--stack", self.stack, "--path",
            *(word for name, value in values.items() for word in ("--secret", f"veloz:secrets.{name}={value}")),
        )  # fmt: skip

    def drop_secret(self, name: str) -> str:
        """Take it out of the configuration; what it was."""
        self.pulumi("config", "rm", "--stack", self.stack, "--path", f"veloz:secrets.{name}")
        return self.secrets.pop(name)

    def _make_secrets(self) -> None:
        made = {name: secrets.token_hex(32) for name in random_names(self.spec)}
        self.set_secrets(**made, **self.certificate())
        if password := made.get("postgres_password"):
            place = f"{names.host(self.spec, 'postgres')}:{ports.POSTGRES}"
            self.database = f"postgresql://{names.DATABASE}:{password}@{place}/{names.DATABASE}"

    def certificate(self) -> dict[str, str]:
        """A new one, by a new authority, as secrets."""
        if not self.spec.encrypted:
            return {}
        made = generate(self.name, ["localhost", "127.0.0.1"])
        self.authority.write_text(made.authority)
        # aiohttp makes the context that all its sessions share when it is imported.
        aiohttp.connector._SSL_CONTEXT_VERIFIED.load_verify_locations(cadata=made.authority)
        return {"tls_certificate": made.certificate, "tls_key": made.key, "tls_ca": made.authority}

    # What is done with it

    def pulumi(self, *arguments: str, check: bool = True) -> subprocess.CompletedProcess[str]:
        """Raises AssertionError with what it says."""
        # In life it runs on another machine than what it deploys; here it gets what that leaves.
        done = subprocess.run(
            ["nice", "-n", "19", "pulumi", "--non-interactive", "--color", "never", *arguments],
            cwd=ROOT,
            env=self._environ,
            capture_output=True,
            text=True,
            timeout=UP_SECONDS,
            check=False,
        )
        if check:
            said = f"{done.stdout[-6000:]}\n{done.stderr[-6000:]}"
            assert done.returncode == 0, f"pulumi {' '.join(arguments[:2])} ended with {done.returncode}:\n{said}"
        return done

    def command(self, *arguments: str, check: bool = True, **environ: str) -> subprocess.CompletedProcess[str]:
        """One of `python -m stacks`, which is what `make` calls."""
        done = subprocess.run(
            [sys.executable, "-m", "stacks", *arguments, "--stack", self.stack],
            cwd=ROOT,
            env=self._environ | environ,
            capture_output=True,
            text=True,
            timeout=900,
            check=False,
        )
        assert not check or done.returncode == 0, f"{arguments[0]}: {done.stdout[-4000:]}\n{done.stderr[-4000:]}"
        return done

    def up(self, *options: str) -> dict[str, int]:
        """How many resources were created, updated, replaced, deleted, unchanged."""
        return counted(self.pulumi("up", "--stack", self.stack, "--yes", "--skip-preview", *options).stdout)

    def quickest_preview(self) -> float:
        """Seconds, the least of three; nothing is to change."""
        seconds = []
        for _ in range(3):
            started = time.monotonic()
            self.pulumi("preview", "--stack", self.stack, "--expect-no-changes")
            seconds.append(time.monotonic() - started)
        return min(seconds)

    def destroy(self, *options: str) -> dict[str, int]:
        return counted(self.pulumi("destroy", "--stack", self.stack, "--yes", "--skip-preview", *options).stdout)

    def outputs(self) -> dict[str, Any]:
        return dict(json.loads(self.pulumi("stack", "output", "--stack", self.stack, "--json").stdout))

    async def smoke(self) -> list[str]:
        out = self.outputs()
        authority = self.authority.read_text() if self.authority.exists() else ""
        edge = Edge(out["url"], out["address"], out["port"], authority)
        return [f"{step.what}: {step.detail}" for step in await smoke(edge, self.secrets["api_key"])]

    def ask_json(self, path: str) -> dict[str, Any]:
        with urllib.request.urlopen(
            urllib.request.Request(self.url + path, headers=self.headers), timeout=10
        ) as answer:
            return dict(json.load(answer))

    # What the checkers need

    @property
    def url(self) -> str:
        edge = self.spec.edge
        scheme, port = ("https", edge.https_port) if self.spec.encrypted else ("http", edge.http_port)
        return f"{scheme}://{edge.address}:{port}"

    @property
    def headers(self) -> dict[str, str]:
        return {"X-API-Key": self.secrets["api_key"]}

    def urls(self) -> list[str]:
        """All comes through the balancer."""
        return [self.url]

    async def start(self) -> None:
        """Wait until every gateway is ready, asked by the host at its own address."""
        spec = self.spec
        every = [names.host(spec, "gateway", replica) for replica in range(1, spec.gateways.replicas + 1)]
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5)) as session:
            for address in every if spec.topology == "compose" else []:
                await until(partial(_ready, session, f"http://{address}:{ports.GATEWAY}"), seconds=READY_SECONDS)
            await until(partial(_ready, session, self.url), seconds=READY_SECONDS)


async def _ready(session: aiohttp.ClientSession, url: str) -> bool:
    with suppress(aiohttp.ClientError, TimeoutError):
        async with session.get(f"{url}/health/ready") as answer:
            return answer.status == 200
    return False


def counted(said: str) -> dict[str, int]:
    """The figures under `Resources:`."""
    part = said.rpartition("Resources:")[2].partition("Duration:")[0]
    return {word: int(number) for number, word in re.findall(r"(\d+) (\w+)", part)}


def served_certificate(port: int) -> str:
    return ssl.get_server_certificate(("127.0.0.1", port), timeout=5)


def two_ports() -> tuple[int, int]:
    first = free_port()
    while (second := free_port()) == first:
        pass
    return first, second


def free_subnet() -> str:
    """A /21 that no network of Docker's or route of this machine has a part of."""
    taken = docker("network", "inspect", "--format", "{{range .IPAM.Config}}{{.Subnet}} {{end}}",
                   *docker("network", "ls", "--quiet").split())  # fmt: skip
    routes = subprocess.run(["ip", "-4", "route"], capture_output=True, text=True, check=True).stdout
    for third in range(0, 256, 8):
        if f"10.222.{third}." not in taken and f"10.222.{third}." not in routes:
            return f"10.222.{third}.0/21"
    raise AssertionError("10.222.0.0/16 has no free /21")


def _merged(below: Mapping[str, Any], above: Mapping[str, Any]) -> dict[str, Any]:
    whole = {**below, **above}
    for name, value in above.items():
        if isinstance(value, Mapping) and isinstance(below.get(name), Mapping):
            whole[name] = _merged(below[name], value)
    return whole
