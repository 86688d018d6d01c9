"""A project of a test's own, with the real Pulumi CLI and a folder as its backend.

The CLI is looked for on PATH and in the folder that TOOLS_BIN names; without it these tests are skipped.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, NamedTuple

import msgspec
import pytest
import yaml

from app.embedded import EmbeddedServers
from stacks.commands import deploying, docker_facts, docker_standing, image_labels, preflight, releases, strangers
from stacks.commands.findings import Finding
from stacks.commands.image_labels import Said
from stacks.commands.initialising import initialise
from stacks.commands.output import Output
from stacks.commands.project import Project, read
from stacks.commands.pulumi_cli import Pulumi, environment
from stacks.commands.stack import Stack
from stacks.commands.standing import Part
from stacks.spec import Deployment
from tests.conftest import new_database
from tests.faults.gateway import Gateway, serving
from tests.faults.gateway import environment as gateway_environment

NAME = "single"
REPOSITORY = Path(__file__).resolve().parents[3]
# What the real program does with Docker, in small: things that come and go, one that holds data, a secret, the outputs.
PROGRAM = """
import time

import pulumi
from pulumi.dynamic import CreateResult, Resource, ResourceProvider, UpdateResult

config = pulumi.Config("veloz")
deployment = config.require_object("deployment")
settings = deployment.get("gateways", {}).get("settings", {})


def work(inputs):
    time.sleep(float(inputs["seconds"]))
    if inputs["broken"]:
        raise Exception(inputs["broken"])
    return inputs


class Provider(ResourceProvider):
    def create(self, inputs):
        return CreateResult("id", work(inputs))

    def update(self, id, olds, news):
        return UpdateResult(work(news))


class Thing(Resource):
    def __init__(self, name, inputs, opts=None):
        super().__init__(Provider(), name, {"seconds": 0, "broken": "", **inputs}, opts)


Thing("data", {"what": "orders"}, pulumi.ResourceOptions(protect=True))
image = deployment.get("images", {}).get("veloz") or "veloz:0.1.0-" + str(settings.get("log_level", "INFO")).lower()
key = config.get_object("secrets")["api_key"]
Thing("gateway", {
    "image": image,
    "settings": str(sorted(settings.items())),
    "key": key if deployment.get("name") == "leaky" else pulumi.Output.secret(key),
    "broken": {"DEBUG": "Bind for 127.0.0.1:80 failed: port is already allocated"}.get(settings.get("log_level"), ""),
    "seconds": 20 if settings.get("log_level") == "ERROR" else 0,
})
port = deployment.get("edge", {}).get("http_port", 8080)
for name, value in {"url": f"http://localhost:{port}", "address": "127.0.0.1", "port": port, "image": image}.items():
    pulumi.export(name, value)
"""


# The commands, but for what they ask of the target.
UNASKED: Final = (
    "-c",
    (
        "from stacks.commands import preflight, strangers; preflight.check = strangers.there = lambda *_: []; "
        "from stacks.__main__ import cli; cli()"
    ),
)


class Done(NamedTuple):
    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:  # noqa: ANN401 - any JSON value
        return msgspec.json.decode(self.out)


class Place(NamedTuple):
    """The project's folder, and the environment that its commands run in."""

    root: Path
    environ: Mapping[str, str]

    @property
    def project(self) -> Project:
        return read(self.root)

    def write(self, name: str, deployment: Mapping[str, Any]) -> Path:
        """The stack file's description; its secrets stay."""
        path = self.project.stack_file(name)
        whole = yaml.safe_load(path.read_text()) if path.exists() else {"config": {}}
        whole["config"]["veloz:deployment"] = dict(deployment)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(yaml.safe_dump(whole, sort_keys=False))
        return path

    def command(self, *arguments: str, program: Sequence[str] = ("-m", "stacks")) -> list[str]:
        return [sys.executable, *program, *arguments, "--project", str(self.root)]

    def run(self, *arguments: str, program: Sequence[str] = ("-m", "stacks")) -> Done:
        done = subprocess.run(
            self.command(*arguments, program=program),
            env=self.environ,
            cwd=REPOSITORY,
            capture_output=True,
            text=True,
            timeout=110,
            check=False,
        )
        return Done(done.returncode, done.stdout, done.stderr)

    def stack(self, name: str) -> Stack:
        """The same without a process of its own."""
        environ = environment(self.project, self.environ, pulumi_program(self.environ))
        return Stack(name, self.project, Pulumi(pulumi_program(self.environ), self.project, environ), Output())

    def state(self) -> dict[str, bytes]:
        """All that is kept, but for locks, which come and go."""
        return {
            str(path): path.read_bytes()
            for path in sorted(self.root.rglob("*"))
            if path.is_file() and "locks" not in path.parts
        }


def pulumi_program(environ: Mapping[str, str]) -> Path:
    found = shutil.which("pulumi", path=environ["PATH"])
    assert found
    return Path(found)


def tools_path() -> str:
    return os.pathsep.join(filter(None, [os.environ.get("TOOLS_BIN"), os.environ.get("PATH", os.defpath)]))


def missing_tools(names: Sequence[str]) -> list[str]:
    return [name for name in names if shutil.which(name, path=tools_path()) is None]


@pytest.fixture
def place(tmp_path: Path) -> Place:
    """An empty one."""
    return new_place(tmp_path)


def new_place(folder: Path) -> Place:
    if missing := missing_tools(["pulumi", "pulumi-language-python"]):
        pytest.skip(f"{' and '.join(missing)} not found on PATH or in TOOLS_BIN")
    root = folder / "project"
    root.mkdir()
    shutil.copy(REPOSITORY / "Pulumi.yaml", root)
    (root / "__main__.py").write_text(PROGRAM)
    environ = {
        name: value
        for name, value in os.environ.items()
        if not name.startswith(("PULUMI_", "STACK", "TOPOLOGY", "CONFIRM"))
    }
    environ |= {"PATH": tools_path(), "PULUMI_HOME": str(folder / "pulumi-home"), "PYTHONPATH": str(REPOSITORY)}
    return Place(root, environ)


@pytest.fixture
def target(monkeypatch: pytest.MonkeyPatch) -> list[Finding]:
    """What the pre-flight finds."""
    found: list[Finding] = []
    monkeypatch.setattr(preflight, "check", lambda *_: found)
    monkeypatch.setattr(docker_standing, "read", well)
    monkeypatch.setattr(docker_facts, "identity", lambda *_: {"daemon": "here"})
    monkeypatch.setattr(strangers, "there", lambda *_: [])
    return found


def well(spec: Deployment, _: object) -> list[Part]:
    """What a Docker host says that has all of it."""
    return [Part(name, role, "well") for name, role in docker_standing.wanted(spec).items()]


@pytest.fixture(scope="module")
def gateway(
    postgres: str,
    migrated: str,
    embedded: EmbeddedServers,
    engine_binary: Path,
    tmp_path_factory: pytest.TempPathFactory,
) -> Iterator[Gateway]:
    with new_database(postgres, migrated) as database:
        environ = gateway_environment(database, embedded.redis_url, engine_binary)
        with serving(tmp_path_factory.mktemp("gateway"), environ) as running:
            yield running


@pytest.fixture(scope="module")
def first(gateway: Gateway, tmp_path_factory: pytest.TempPathFactory) -> Place:
    """Release 1, good; its edge is the gateway."""
    place = new_place(tmp_path_factory.mktemp("first"))
    write(place, gateway)
    initialise(place.stack(NAME))
    place.stack(NAME).pulumi.set_secret(NAME, "api_key", gateway.key)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(preflight, "check", lambda *_: [])
        patch.setattr(docker_standing, "read", well)
        patch.setattr(docker_facts, "identity", lambda *_: {"daemon": "here"})
        patch.setattr(strangers, "there", lambda *_: [])
        assert deploying.up(place.stack(NAME), seconds=20).release.outcome == "good"
    return place


@pytest.fixture
def deployed(first: Place) -> Iterator[Place]:
    """As it was after release 1, in the same folder: the state of things in Python depends on where their program is."""
    kept = first.root.with_name("kept")
    shutil.copytree(first.root, kept)
    yield first
    shutil.rmtree(first.root)
    kept.rename(first.root)


@pytest.fixture
def said(monkeypatch: pytest.MonkeyPatch) -> list[Said]:
    """What an image says of itself; none of these is anywhere."""
    found = [Said(None, "it is nowhere")]
    monkeypatch.setattr(image_labels, "read", lambda *_, **__: found[-1])
    return found


def write(place: Place, gateway: Gateway, image: str = "", **settings: str) -> None:
    document = {"topology": NAME, "edge": {"http_port": gateway.port}, "gateways": {"settings": settings}}
    place.write(NAME, document | ({"images": {"veloz": image}} if image else {}))


def known(place: Place) -> list[releases.Release]:
    return releases.read(place.project.releases(NAME))


def outcomes(place: Place) -> list[tuple[int, str, int]]:
    return [(one.id, one.outcome, one.of) for one in known(place)]
