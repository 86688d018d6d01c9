"""Docker over TLS, on a real second daemon: read, and deployed to; and a stack of the first one is refused there."""

from __future__ import annotations

import json
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from stacks.commands import docker_endpoint, docker_facts, releases
from stacks.commands.docker_endpoint import Endpoint
from stacks.commands.failures import Failure
from stacks.commands.initialising import initialise
from stacks.document import load
from tests.stacks.commands import second_daemon
from tests.stacks.commands.conftest import Place, missing_tools, new_place
from tests.stacks.commands.second_daemon import Daemon

SINGLE = load({"topology": "single"})
FIRST = {"DOCKER_HOST": docker_endpoint.DEFAULT}
PROGRAM = """
import pulumi
import pulumi_docker as docker

name = pulumi.Config("veloz").require_object("deployment")["name"]
provider = docker.Provider("docker", host=None)
docker.Volume("data", name=name, opts=pulumi.ResourceOptions(provider=provider))
docker.Image("image", image_name=name + ":1", skip_push=True, build=docker.DockerBuildArgs(context="context"))
"""

# Each runs the CLI several times, and that starts a program in Python each time.
pytestmark = pytest.mark.timeout(300)


@pytest.fixture(scope="module")
def daemon(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Daemon]:
    if why := second_daemon.missing():
        pytest.skip(why)
    with second_daemon.started(tmp_path_factory.mktemp("daemon")) as running:
        yield running


@pytest.fixture
def place(tmp_path: Path, daemon: Daemon) -> Place:
    """Its commands run where the environment names the second daemon."""
    made = new_place(tmp_path)
    return made._replace(environ={**made.environ, **daemon.environ})


def test_it_answers_those_with_a_certificate_whatever_requests_believes(
    daemon: Daemon, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "others.pem"))
    assert not docker_facts.read(SINGLE, daemon.environ).away
    assert not docker_facts.read(daemon.spec, daemon.environ).away  # docker.host, and certificates by the environment
    assert docker_facts.read(SINGLE, {"DOCKER_HOST": daemon.host}).away


def test_who_the_daemon_is_is_verified(daemon: Daemon, tmp_path: Path) -> None:
    shutil.copytree(daemon.certificates, tmp_path / "other")
    shutil.copy(daemon.certificates / "cert.pem", tmp_path / "other" / "ca.pem")
    environ = {"DOCKER_HOST": daemon.host, "DOCKER_CERT_PATH": str(tmp_path / "other")}
    assert "certificate verify failed" in docker_facts.read(SINGLE, environ).away
    (tmp_path / "other" / "key.pem").unlink()
    assert "key.pem is missing" in docker_facts.read(SINGLE, environ).away


def test_a_context_with_certificates_is_taken_unless_a_host_is_named(
    daemon: Daemon, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from docker.context import ContextAPI  # noqa: PLC0415 - slow to load
    from docker.tls import TLSConfig  # noqa: PLC0415

    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    (tmp_path / "config.json").write_text("{}")
    certificate, key, authority = (str(daemon.certificates / name) for name in ("cert.pem", "key.pem", "ca.pem"))
    tls = TLSConfig(client_cert=(certificate, key), ca_cert=authority, verify=True)
    ContextAPI.create_context("far", host=daemon.host, tls_cfg=tls)
    (meta,) = tmp_path.rglob("meta.json")  # where the docker command writes tcp:// for docker-py's https://
    meta.write_text(meta.read_text().replace("https://", "tcp://"))
    assert docker_endpoint.find(SINGLE, {}) == Endpoint(docker_endpoint.DEFAULT)
    found = docker_endpoint.find(SINGLE, {"DOCKER_CONTEXT": "far"})
    assert found.host == daemon.host
    (tmp_path / "config.json").write_text(json.dumps({"currentContext": "far"}))
    assert docker_endpoint.find(SINGLE, {}) == found
    assert not docker_facts.read(SINGLE, {}).away
    assert docker_endpoint.find(SINGLE, FIRST) == Endpoint(docker_endpoint.DEFAULT)
    environ = {"DOCKER_CONTEXT": "far", "HOME": "/root"}
    docker_endpoint.aim(environ, found)
    expected = {"DOCKER_HOST": daemon.host, "DOCKER_CERT_PATH": found.certificates, "DOCKER_TLS_VERIFY": "1"}
    assert environ == {"HOME": "/root", **expected}
    assert docker_endpoint.find(SINGLE, environ) == found
    with pytest.raises(Failure, match="DOCKER_CONTEXT=nowhere names no docker context"):
        docker_endpoint.find(SINGLE, {"DOCKER_CONTEXT": "nowhere"})


def test_a_socket_is_not_spoken_to_over_tls() -> None:
    environ = {"DOCKER_TLS_VERIFY": "1", "DOCKER_CERT_PATH": "/x", **FIRST}
    found = docker_endpoint.find(SINGLE, environ)
    assert found == Endpoint(docker_endpoint.DEFAULT)
    docker_endpoint.aim(environ, found)
    assert environ == FIRST


def test_the_stack_file_s_host_goes_before_the_environment_s_for_pulumi_too() -> None:
    spec = load({"topology": "single", "docker": {"host": "tcp://192.0.2.1:2376"}})
    environ = {"DOCKER_HOST": "unix:///other.sock", "DOCKER_CERT_PATH": "/x"}
    docker_endpoint.aim(environ, docker_endpoint.find(spec, environ))
    assert environ == {"DOCKER_HOST": "tcp://192.0.2.1:2376", "DOCKER_CERT_PATH": "/x", "DOCKER_TLS_VERIFY": "1"}


def test_pulumi_makes_things_and_builds_images_there(place: Place, daemon: Daemon) -> None:
    if missing := missing_tools(["pulumi-resource-docker"]):
        pytest.skip(f"{missing[0]} not found on PATH or in TOOLS_BIN")
    name = f"tls-{secrets.token_hex(3)}"
    (place.root / "__main__.py").write_text(PROGRAM)
    (place.root / "context").mkdir()
    (place.root / "context" / "Dockerfile").write_text("FROM scratch\nCOPY Dockerfile /\n")
    place.write("single", {"topology": "single", "name": name})
    stack = place.stack("single")
    stack.pulumi.environ["PULUMI_CONFIG_PASSPHRASE"] = secrets.token_hex()
    stack.pulumi.run(["stack", "init", "single"])
    stack.aim(load({"topology": "single", "name": name}))
    stack.pulumi.run(["up", "--yes", "--skip-preview", "--stack", "single"])
    assert name in daemon.holds()
    assert f"{name}:1" in docker_facts.read(SINGLE, daemon.environ).images
    stack.pulumi.run(["destroy", "--yes", "--skip-preview", "--stack", "single"])
    assert name not in daemon.holds()


@pytest.mark.parametrize("command", [["up"], ["destroy", "--yes"]])
def test_a_stack_of_another_daemon_is_refused_and_nothing_is_changed(
    place: Place, daemon: Daemon, command: list[str]
) -> None:
    if (first := docker_facts.read(SINGLE, FIRST)).away:
        pytest.skip(f"no Docker daemon answers: {first.away}")
    document = {"topology": "single", "edge": {"http_port": 8080}}
    place.write("single", document)
    initialise(place.stack("single"))
    recorded = docker_facts.identity(SINGLE, FIRST)
    release = msgspec.structs.replace(releases.begin([], document, schema=1, commit=""), target=recorded)
    releases.put(place.project.releases("single"), release.ended("good"))
    state, held = place.state(), daemon.holds()
    done = place.run(*command, "--stack", "single")
    assert done.code == 1
    there = docker_facts.identity(SINGLE, daemon.environ)["daemon"]
    assert f"went to daemon {recorded['daemon']}, and the Docker at {daemon.host} is daemon {there}" in done.err
    assert "Nothing was changed." in done.err
    assert f"make {command[0]} STACK=single ARGS=--target-changed" in done.err
    assert (place.state(), daemon.holds()) == (state, held)
