"""Our images, really built and run: read-only, without capabilities, with servers beside them."""

from __future__ import annotations

import json
import re
import secrets
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any, NamedTuple

import pytest
import yaml
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from app import __version__
from app.migrate import read_migrations
from app.settings import DEFAULT_PORT, Settings
from stacks.images.context import ROOT, context_files
from stacks.images.recipe import SCHEMA_LABEL, SETTINGS_LABEL
from tests.e2e.docker_host import docker, inspect
from tests.e2e.place import HARDENED, base, had, healthy, logs, missing, place
from tests.e2e.place import image as image_of

# Runs in the image, by its own Python.
LOOK = """
import json, os, re, stat, sys
found = {"files": [], "special": [], "writable": [], "uncompiled": [], "programs": []}
for folder, folders, names in os.walk("/"):
    folders[:] = [name for name in folders if os.path.join(folder, name) not in ("/proc", "/sys", "/dev")]
    for name in names:
        path = os.path.join(folder, name)
        status = os.lstat(path)
        if stat.S_ISREG(status.st_mode) and status.st_mode & 0o6000:
            found["special"].append(path)
        if re.fullmatch(r"(pip[0-9.]*|uv|gcc|g\\+\\+|cc|c\\+\\+|cmake|make|ld)(-[0-9]+)?", name) and status.st_mode & 0o111:
            found["programs"].append(path)
        if path.startswith("/opt/veloz/"):
            if not stat.S_ISLNK(status.st_mode) and (os.access(path, os.W_OK) or status.st_uid):
                found["writable"].append(path)
            if not path.startswith("/opt/veloz/venv/"):
                found["files"].append(path.removeprefix("/opt/veloz/"))
            compiled = os.path.join(folder, "__pycache__", name[:-2] + sys.implementation.cache_tag + ".pyc")
            if name.endswith(".py") and not os.path.exists(compiled):
                found["uncompiled"].append(path)
for name in ("pip", "setuptools", "ensurepip", "cmake"):
    try:
        __import__(name)
        found["programs"].append(name)
    except ImportError:
        pass
print(json.dumps(found))
"""


REASON = missing()
pytestmark = [pytest.mark.skipif(bool(REASON), reason=REASON), pytest.mark.timeout(1800), pytest.mark.alone]


class Built(NamedTuple):
    gateway: str
    single: str


def build(topology: str, folder: Path) -> str:
    """By the command that a user has. The image stays: the next build finds it."""
    file = folder / f"Pulumi.{topology}.yaml"
    description = {"topology": topology, "images": {"python": image_of("python")}}
    file.write_text(yaml.safe_dump({"config": {"veloz:deployment": description}}))
    command = [sys.executable, "-m", "stacks.images", str(file)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=1200, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return str(done.stdout.strip())


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Built:
    had("python")
    folder = tmp_path_factory.mktemp("stacks")
    return Built(build("compose", folder), build("single", folder))


@pytest.fixture(params=["gateway", "single"])
def image(request: pytest.FixtureRequest, built: Built) -> str:
    return str(getattr(built, request.param))


def inside(image: str, *command: str) -> str:
    return docker("run", "--rm", "--network", "none", *HARDENED, "--entrypoint", command[0], image, *command[1:])


# What is in them


def test_they_run_as_a_numeric_user_and_say_what_they_are(image: str) -> None:
    config = inspect(image)["Config"]
    assert config["User"] == "10001:0"
    labels = {name.removeprefix("org.opencontainers.image."): value for name, value in config["Labels"].items()}
    assert labels["version"] == __version__
    assert re.fullmatch(r"[0-9a-f]{64}", labels["revision"])
    assert image.endswith(f":{__version__}-{labels['revision'][:12]}")
    assert labels["base.name"] == image_of("python")
    assert labels[SCHEMA_LABEL] == str(len(read_migrations()))
    assert labels[SETTINGS_LABEL].split(",") == list(Settings.__struct_fields__)
    assert config["StopSignal"] == "SIGTERM"
    assert config["Healthcheck"]["Test"][0] == "CMD"


def test_they_have_what_runs_and_nothing_that_builds_installs_or_becomes_root(image: str) -> None:
    found = json.loads(inside(image, "/opt/veloz/venv/bin/python", "-I", "-c", LOOK))
    assert found["programs"] == []
    assert found["special"] == []
    assert found["writable"] == []
    assert [path for path in found["uncompiled"] if path.startswith(("/opt/veloz/app/", "/opt/veloz/probe"))] == []
    sources = {name for name in found["files"] if "__pycache__" not in name}
    assert sources == {name for name in context_files() if name.startswith("app/")} | {"probe.py", "bin/veloz_engine"}


def test_their_history_tells_no_secret_and_no_path_of_this_machine(image: str) -> None:
    history = docker("history", "--no-trunc", "--format", "{{.CreatedBy}}", image)
    assert str(ROOT) not in history
    assert not re.search(r"(?i)password|token|secret", history)


def test_their_bill_of_materials_is_valid_and_true(image: str) -> None:
    text = inside(image, "cat", "/usr/share/veloz/sbom.json")
    assert JsonStrictValidator(SchemaVersion.V1_6).validate_str(text) is None
    listed = {component["purl"]: component for component in json.loads(text)["components"]}
    engine = inside(image, "sha256sum", "/opt/veloz/bin/veloz_engine").split()[0]
    assert listed[f"pkg:generic/veloz_engine@{__version__}"]["hashes"][0]["content"] == engine
    shown = inside(image, "dpkg-query", "--show", "--showformat", "${Package} ").split()
    assert {c["name"] for purl, c in listed.items() if purl.startswith("pkg:deb/")} == set(shown)
    count = "import importlib.metadata as m; print(len({d.name for d in m.distributions()}))"
    packages = inside(image, "/opt/veloz/venv/bin/python", "-I", "-c", count)
    assert len([purl for purl in listed if purl.startswith("pkg:pypi/")]) == int(packages)


def test_a_second_build_is_the_same_image(built: Built, tmp_path: Path) -> None:
    before = inspect(built.gateway)["Id"]
    assert build("compose", tmp_path) == built.gateway
    assert inspect(built.gateway)["Id"] == before


# What they do


def call(container: str, key: str, path: str, **body: str) -> dict[str, Any]:
    request = urllib.request.Request(f"{base(container, DEFAULT_PORT)}{path}", headers={"X-API-Key": key})
    if body:
        request.data = json.dumps(body).encode()
        request.add_header("Content-Type", "application/json")
    with urllib.request.urlopen(request, timeout=10) as answer:
        return dict(json.load(answer))


def order(container: str, key: str, identity: str) -> dict[str, Any]:
    return call(
        container, key, "/api/order",
        side="BUY", symbol="BTCUSDT", qty="0.01", price="10000", client_order_id=identity,
    )  # fmt: skip


def secret(folder: Path, name: str, value: str) -> None:
    """As deployments deliver it: root's, for group 0."""
    path = folder / name
    path.write_text(value)
    path.chmod(0o440)


@pytest.fixture
def key() -> str:
    return secrets.token_hex(32)


def test_a_gateway_trades_with_nothing_that_it_could_write(built: Built, key: str, tmp_path: Path) -> None:
    had("postgres", "redis")
    files = tmp_path / "secrets"
    files.mkdir()
    with place() as here:
        here.run(
            "postgres", image_of("postgres"),
            "--tmpfs", "/var/lib/postgresql/data", "--env", "POSTGRES_USER=veloz", "--env", f"POSTGRES_PASSWORD={key}",
            "--network-alias", "postgres",
        )  # fmt: skip
        here.run("redis", image_of("redis"), "--tmpfs", "/data", "--network-alias", "redis")
        secret(files, "api_key", key)
        secret(files, "postgres_dsn", f"postgresql://veloz:{key}@postgres:5432/veloz")
        secret(files, "redis_url", "redis://redis:6379/0")
        names = ("api_key", "postgres_dsn", "redis_url")
        variables = [f"VELOZ_{name.upper()}_FILE=/run/veloz/{name}" for name in names] + ["VELOZ_HOST=0.0.0.0"]
        gateway = here.run(
            "gateway", built.gateway, *HARDENED,
            "--volume", f"{files}:/run/veloz:ro", "--publish", f"127.0.0.1::{DEFAULT_PORT}",
            *(word for variable in variables for word in ("--env", variable)),
        )  # fmt: skip
        healthy(gateway)
        answer = order(gateway, key, "first")
        assert answer["ok"], answer
        assert order(gateway, key, "first") == answer
        owners = docker("top", gateway, "-o", "pid,uid,comm").splitlines()[1:]
        assert {line.split()[1] for line in owners} == {"10001"}
        assert "veloz_engine" in {line.split()[2] for line in owners}
        started = time.monotonic()
        docker("stop", "--time", "30", gateway)
        assert time.monotonic() - started < 25
        assert inspect(gateway)["State"]["ExitCode"] == 0
        assert key not in logs(gateway)
        assert key not in json.dumps(inspect(gateway))


def test_a_gateway_without_its_database_is_not_healthy_and_says_why(built: Built, key: str) -> None:
    with place() as here:
        environment = [f"VELOZ_API_KEY={key}", "VELOZ_POSTGRES_DSN=postgresql://veloz@127.0.0.1:1/veloz"]
        gateway = here.run(
            "gateway", built.gateway, *HARDENED, *(word for one in environment for word in ("--env", one))
        )
        probe = ["docker", "exec", gateway, "/opt/veloz/venv/bin/python", "-I", "-S", "/opt/veloz/probe.py"]
        deadline = time.monotonic() + 60
        while subprocess.run([*probe, "live"], capture_output=True, check=False).returncode:
            assert time.monotonic() < deadline, logs(gateway)
            time.sleep(0.2)
        ready = subprocess.run([*probe, "ready"], capture_output=True, text=True, check=False)
        assert (ready.returncode, ready.stdout) == (1, "ready: status 503\n")


def test_a_single_node_trades_and_finds_its_orders_again(built: Built, key: str, tmp_path: Path) -> None:
    files = tmp_path / "secrets"
    files.mkdir()
    secret(files, "api_key", key)
    with place() as here:
        volume = here.name("data")
        options = (
            *HARDENED, "--volume", f"{volume}:/var/lib/veloz", "--volume", f"{files}:/run/veloz:ro",
            "--env", "VELOZ_API_KEY_FILE=/run/veloz/api_key", "--publish", f"127.0.0.1::{DEFAULT_PORT}",
        )  # fmt: skip
        first = here.run("first", built.single, *options)
        healthy(first)
        answer = order(first, key, "kept")
        assert answer["ok"], answer
        owners = {line.split()[0] for line in docker("top", first, "-o", "uid,pid,comm").splitlines()[1:]}
        assert owners == {"10001"}
        docker("stop", "--time", "40", first)
        assert inspect(first)["State"]["ExitCode"] == 0
        second = here.run("second", built.single, *options)
        healthy(second)
        assert order(second, key, "kept") == answer
        said = logs(second)
        assert "is ready at" in said
        assert "building the engine" not in said
        assert key not in said


def test_a_single_node_asks_for_a_key_from_everybody(built: Built) -> None:
    """Without a key of the deployment it makes its own; without a key nobody gets in."""
    with place() as here:
        container = here.run("alone", built.single, *HARDENED, "--publish", f"127.0.0.1::{DEFAULT_PORT}")
        healthy(container)
        with pytest.raises(urllib.error.HTTPError, match="401"):
            call(container, "", "/api/account")
        key = docker("exec", container, "cat", "/var/lib/veloz/api_key").strip()
        assert order(container, key, "mine")["ok"]
