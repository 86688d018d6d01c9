"""Docker's daemon.json: ours where nobody said otherwise, the administrator's where he did."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hosts import docker_stage
from hosts.docker_daemon import merge, missing, read, settings
from stacks.commands.failures import Failure
from stacks.document import load
from tests.hosts.fakes import fake_session, ran

SPEC = load({"topology": "compose", "limits": {"log_size": 20, "log_files": 3, "open_files": 9000}})
WANTED = settings(SPEC)


def test_limits_are_the_descriptions() -> None:
    assert WANTED["log-opts"] == {"max-size": "20m", "max-file": "3"}
    assert WANTED["default-ulimits"]["nofile"] == {"Name": "nofile", "Soft": 9000, "Hard": 9000}
    assert (WANTED["live-restore"], WANTED["userland-proxy"]) == (True, False)


@pytest.mark.parametrize(
    ("engine", "which", "installs"),
    [
        (["ii  docker.io  26  amd64"], "", True),
        (["ii  docker.io  20  amd64"], "/usr/bin/docker", False),
        ([], "", False),
    ],
)
def test_the_command_is_installed_where_the_engine_comes_without(
    engine: list[str], which: str, *, installs: bool
) -> None:
    with fake_session({"dpkg -l": engine, "command -v docker": [which] if which else [], "sh -s": ""}) as session:
        steps = session.run(docker_stage.command)
    assert [step.name for step in steps] == (["Docker's command"] if installs else [])
    assert any(command.endswith("sh -s -- docker-cli") for command, _ in ran) is installs


@pytest.mark.parametrize(
    ("have", "ours", "wanted", "result", "conflicts"),
    [
        ({}, {}, {"a": 1}, {"a": 1}, 0),
        ({"mine": 7}, {}, {"a": 1}, {"mine": 7, "a": 1}, 0),
        ({"a": 2}, {}, {"a": 1}, {"a": 2}, 1),
        ({"a": 2}, {"a": 2}, {"a": 1}, {"a": 1}, 0),
        ({"o": {"x": 1}}, {}, {"o": {"y": 2}}, {"o": {"x": 1, "y": 2}}, 0),
        ({"o": {"x": 1, "y": 3}}, {}, {"o": {"y": 2}}, {"o": {"x": 1, "y": 3}}, 1),
        ({"o": {"y": 3}}, {"o": {"y": 3}}, {"o": {"y": 2}}, {"o": {"y": 2}}, 0),
        ({"o": "text"}, {}, {"o": {"y": 2}}, {"o": "text"}, 1),
        ({"a": 1, "gone": 5}, {"a": 1, "gone": 5}, {"a": 1}, {"a": 1}, 0),
        ({"a": False}, {}, {"a": 0}, {"a": 0}, 0),
    ],
)
def test_what_an_administrator_said_stays(
    have: dict[str, Any], ours: dict[str, Any], wanted: dict[str, Any], result: dict[str, Any], conflicts: int
) -> None:
    merged = merge(have, ours, wanted)
    assert json.loads(merged.text) == result
    assert len(merged.conflicts) == conflicts


def test_a_conflict_says_value_want_and_what_became_of_it() -> None:
    (conflict,) = merge({"log-opts": {"max-size": "1g"}}, {}, WANTED).conflicts
    assert conflict == 'log-opts.max-size is "1g", "20m" is wanted; /etc/docker/daemon.json is left so'


def test_merging_twice_changes_nothing() -> None:
    once = merge({"data-root": "/srv"}, {}, WANTED).text
    assert merge(json.loads(once), WANTED, WANTED).text == once


@pytest.mark.parametrize(("text", "why"), [("{", "is not JSON"), ("[]", "must be an object")])
def test_a_file_that_cannot_be_read_is_refused(text: str, why: str) -> None:
    with pytest.raises(Failure, match=f"daemon.json: {why}"):
        read(text)
    assert read(" \n") == {}


def test_what_is_missing_is_named() -> None:
    assert list(missing({"a": 1, "o": {"y": 3}}, {"a": 1, "b": 2, "o": {"y": 2}})) == [
        ("b", "2", ""),
        ("o.y", "2", "3"),
    ]
