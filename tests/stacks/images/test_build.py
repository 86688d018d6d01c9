"""The image as a resource, under Pulumi's mocks: what is declared."""

from __future__ import annotations

from pathlib import Path

import pulumi
import pytest

from stacks.document import load
from stacks.images import context
from stacks.images.build import built
from stacks.images.recipe import recipe
from stacks.secrets import Secrets
from stacks.spec import Deployment
from tests.stacks.recorder import Resource, record


def declare(spec: Deployment, secrets: Secrets | None = None) -> tuple[str, tuple[Resource, ...]]:
    """The name that `built` gives, and the resources that were declared."""
    seen = record(lambda: pulumi.export("name", built(spec, secrets)))
    return seen.outputs["name"], seen.resources


def test_without_a_registry_it_is_built_here_and_not_pushed() -> None:
    spec = load({"topology": "compose"})
    name, (image,) = declare(spec)
    how = recipe(spec, context.read())
    assert name == how.tag == image.inputs["imageName"]
    assert image.type == "docker:index/image:Image"
    assert image.inputs["skipPush"] is True
    assert "registry" not in image.inputs
    build = image.inputs["build"]
    assert (build["target"], build["args"]) == ("gateway", how.arguments)


def test_the_context_is_a_clean_folder_named_relative_to_the_project() -> None:
    _, (image,) = declare(load({"topology": "single"}))
    build = image.inputs["build"]
    folder = Path(build["context"])
    assert not folder.is_absolute()
    assert build["dockerfile"] == f"{folder}/{context.DOCKERFILE}"
    there = {p.relative_to(context.ROOT / folder).as_posix() for p in (context.ROOT / folder).rglob("*") if p.is_file()}
    assert there == set(context.context_files())


def test_two_runs_declare_the_same() -> None:
    spec = load({"topology": "kubernetes", "edge": {"hostname": "veloz.example.com"}})
    assert declare(spec)[1][0].inputs == declare(spec)[1][0].inputs


def test_with_a_registry_it_is_pushed_with_the_stacks_credentials() -> None:
    spec = load({"topology": "compose", "images": {"registry": "registry.example.com/team"}})
    name, (image,) = declare(spec, Secrets(registry_username="deployer", registry_password="hidden"))
    assert name.startswith("registry.example.com/team/veloz:")
    assert image.inputs["skipPush"] is False
    registry = image.inputs["registry"]
    assert registry["server"] == "registry.example.com"
    assert registry["username"] == "deployer"


@pytest.mark.parametrize("topology", ["single", "compose", "kubernetes"])
def test_an_image_that_is_named_is_taken_as_it_is(topology: str) -> None:
    given = "registry.example.com/veloz@sha256:" + "0" * 64
    assert declare(
        load({"topology": topology, "edge": {"hostname": "veloz.example.com"}, "images": {"veloz": given}})
    ) == (given, ())
