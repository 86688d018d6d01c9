"""What an image is called and built with follows from the description and the content."""

from __future__ import annotations

import re
from typing import Any

import pytest

from app import __version__
from app.migrate import read_migrations
from app.settings import Settings
from stacks.document import load
from stacks.images.__main__ import command
from stacks.images.context import ROOT, context_digest
from stacks.images.recipe import recipe
from stacks.spec import Deployment

FILES = {"app/x.py": b"x"}


def spec(topology: str = "compose", **images: Any) -> Deployment:  # noqa: ANN401 - the model's fields
    return load({"topology": topology, "images": images, "edge": {"hostname": "veloz.example.com"}})


@pytest.mark.parametrize(
    ("topology", "target", "repository"),
    [("single", "single", "veloz-single"), ("compose", "gateway", "veloz"), ("kubernetes", "gateway", "veloz")],
)
def test_single_has_an_image_of_its_own(topology: str, target: str, repository: str) -> None:
    how = recipe(spec(topology), FILES)
    assert how.target == target
    assert re.fullmatch(rf"{repository}:{re.escape(__version__)}-[0-9a-f]{{12}}", how.tag)


def test_a_registry_comes_before_the_name() -> None:
    how = recipe(spec(registry="registry.example.com:5000/team"), FILES, "1.2.3")
    digest = context_digest(FILES, spec().images.python)[:12]
    assert how.tag == f"registry.example.com:5000/team/veloz:1.2.3-{digest}"


def test_the_tag_differs_with_content_base_image_and_version_and_with_nothing_else() -> None:
    tag = recipe(spec(), FILES).tag
    assert recipe(spec(), {"app/x.py": b"y"}).tag != tag
    assert recipe(spec(), FILES, "9.9.9").tag != tag
    assert recipe(spec(python="python:3.12.1-slim-bookworm"), FILES).tag != tag
    assert recipe(spec(build_args={"HTTP_PROXY": "http://10.0.0.1:3128"}, nginx="nginx:1.29.0"), FILES).tag == tag


def test_build_arguments_reach_the_builder_and_cannot_replace_ours() -> None:
    how = recipe(spec(build_args={"PIP_INDEX_URL": "http://10.0.0.1/simple"}, python="python:3.12.1"), FILES)
    assert how.arguments == {
        "PIP_INDEX_URL": "http://10.0.0.1/simple",
        "PYTHON_IMAGE": "python:3.12.1",
        "VERSION": __version__,
        "REVISION": context_digest(FILES, "python:3.12.1"),
        "SCHEMA": str(len(read_migrations())),
        "SETTINGS": ",".join(Settings.__struct_fields__),
    }


def test_the_docker_command_builds_the_same() -> None:
    how = recipe(spec(), FILES)
    words = command(how, ROOT)
    assert words[:6] == ["docker", "build", "--target", "gateway", "--tag", how.tag]
    for name, value in how.arguments.items():
        assert f"{name}={value}" in words
