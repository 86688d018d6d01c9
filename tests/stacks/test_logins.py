"""What the Docker provider is told of registries: where there is a login, and never the login in plain text."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from stacks.document import load
from tests.stacks.declared import declare

PROVIDER = "pulumi:providers:docker"
SPEC = {"topology": "compose", "images": {"veloz": "here.example/veloz:1.0.0", "redis": "10.0.0.1:5000/redis:7.4.5"}}


def told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, config: Mapping[str, Any]) -> list[dict[str, Any]] | None:
    """`registryAuth`, and that what is in it is secret where it must be."""
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
    (tmp_path / "config.json").write_text(json.dumps(config))
    (provider,) = declare(load(SPEC)).of(PROVIDER)
    if "registryAuth" not in provider.inputs:
        return None
    found: list[dict[str, Any]] = json.loads(provider.inputs["registryAuth"])
    assert provider.secret("registryAuth") == any("password" in one for one in found)
    return found


def auth(*places: str) -> dict[str, Any]:
    return {"auths": {place: {"auth": b64encode(b"user:password").decode()} for place in places}}


def test_nothing_without_a_login(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert told(tmp_path, monkeypatch, {}) is None
    assert told(tmp_path, monkeypatch, auth("elsewhere.example")) is None
    assert told(tmp_path, monkeypatch, {"credsStore": "that-is-nowhere"}) is None


def test_the_registries_that_there_is_a_login_for_and_no_login(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    found = told(
        tmp_path, monkeypatch, auth("here.example", "10.0.0.1:5000", "https://index.docker.io/v1/", "x.example")
    )
    assert found == [{"address": place} for place in ("10.0.0.1:5000", "docker.io", "here.example")]


def test_what_a_helper_has_for_docker_hub_is_given_as_a_secret(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    program = tmp_path / "docker-credential-test"
    program.write_text(
        "#!/bin/sh\nread -r server\n"
        '[ "$server" = "https://index.docker.io/v1/" ] || { echo credentials not found in native keychain; exit 1; }\n'
        """echo '{"Username":"u","Secret":"s"}'\n"""
    )
    program.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    assert told(tmp_path, monkeypatch, {"credsStore": "test"}) == [
        {"address": "docker.io", "username": "u", "password": "s"}
    ]
