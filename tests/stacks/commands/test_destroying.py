"""Whose data `destroy` takes for this stack's: those of its description, its state and its releases."""

from __future__ import annotations

from typing import Any

import pytest

from stacks.commands import destroying, docker_volumes, releases
from stacks.commands.stack import Stack
from stacks.document import load
from tests.stacks.commands.conftest import Place

COMPOSE: dict[str, Any] = {"topology": "compose", "monitoring": {"prometheus": False, "grafana": False}}


def test_data_of_another_stack_of_this_name_are_left(
    place: Place, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Single's were kept when it was destroyed; Prometheus and Redis were this stack's."""
    stack = place.stack("prod")
    monkeypatch.setattr(Stack, "resources", lambda _: [{"outputs": {"name": "veloz-redis-data"}}])
    earlier = {**COMPOSE, "monitoring": {"grafana": False}}
    releases.put(stack.project.releases("prod"), releases.begin([], earlier, schema=None, commit=""))
    own = ["veloz-postgres-data", "veloz-prometheus-data", "veloz-redis-data"]
    monkeypatch.setattr(docker_volumes, "data", lambda *_: ["veloz-data", *own])
    external = load({**COMPOSE, "redis": {"store": "external", "host": "redis.example"}})
    assert destroying._data_volumes(stack, external) == own
    assert "Left alone, for no release of stack prod had them: veloz-data." in "".join(capsys.readouterr())


def test_a_cluster_has_no_volumes_of_docker(place: Place) -> None:
    assert (
        destroying._data_volumes(place.stack("prod"), load({"topology": "kubernetes", "edge": {"hostname": "a.test"}}))
        == []
    )
