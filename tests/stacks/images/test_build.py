"""The image as a resource, under Pulumi's mocks: what is declared."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pulumi
import pytest
from pulumi.runtime import MockCallArgs, MockResourceArgs, Mocks

from stacks.document import load
from stacks.images import context
from stacks.images.build import built
from stacks.images.recipe import recipe
from stacks.secrets import Secrets
from stacks.spec import Deployment


class Recorder(Mocks):
    def __init__(self) -> None:
        self.declared: list[MockResourceArgs] = []

    def new_resource(self, args: MockResourceArgs) -> tuple[str, dict[str, Any]]:
        self.declared.append(args)
        return args.name, dict(args.inputs)

    def call(self, args: MockCallArgs) -> tuple[dict[str, Any], list[tuple[str, str]]]:
        raise AssertionError(args.token)


def declare(spec: Deployment, secrets: Secrets | None = None) -> tuple[str, list[MockResourceArgs]]:
    """The name that `built` gives, and the resources that were declared."""
    recorder = Recorder()
    pulumi.runtime.set_mocks(recorder, project="veloz", stack="test")
    names: list[str] = []

    @pulumi.runtime.test  # type: ignore[untyped-decorator]
    def program() -> pulumi.Output[None]:
        return built(spec, secrets).apply(names.append)

    program()
    return names[0], [one for one in recorder.declared if one.typ != "pulumi:pulumi:Stack"]


def test_without_a_registry_it_is_built_here_and_not_pushed() -> None:
    spec = load({"topology": "compose"})
    name, (image,) = declare(spec)
    how = recipe(spec, context.read())
    assert name == how.tag == image.inputs["imageName"]
    assert image.typ == "docker:index/image:Image"
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
    ) == (given, [])
