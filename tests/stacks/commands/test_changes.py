"""What of a preview's document counts as built, and as gone since."""

from __future__ import annotations

import pytest

from stacks.commands import docker_facts
from stacks.commands.changes import Steps
from stacks.document import load
from tests.stacks.commands.conftest import Place

URN = "urn:pulumi:a::veloz::docker:index/image:Image::image"


def steps(op: str, kind: str = "docker:index/image:Image") -> Steps:
    state = {"type": kind, "inputs": {"imageName": "veloz:1-abc"}}
    return Steps.of({"steps": [{"op": op, "urn": URN, "newState": state}]})


def test_an_image_that_stays_as_it_is_is_known_by_its_name() -> None:
    assert steps("same").kept_images() == {URN: "veloz:1-abc"}
    assert steps("replace").kept_images() == {}
    assert steps("same", "docker:index/container:Container").kept_images() == {}


@pytest.mark.parametrize(
    ("document", "facts", "lost"),
    [
        ({"topology": "single"}, docker_facts.Facts("unix:///x"), [URN]),
        ({"topology": "single"}, docker_facts.Facts("unix:///x", images={"veloz:1-abc": {}}), []),
        ({"topology": "single"}, docker_facts.Facts("unix:///x", away="no daemon"), []),
        ({"topology": "compose", "images": {"registry": "registry.test/x"}}, docker_facts.Facts("unix:///x"), []),
        ({"topology": "kubernetes", "edge": {"hostname": "a.test"}}, docker_facts.Facts("unix:///x"), []),
    ],
)
def test_it_is_made_anew_where_the_docker_host_has_it_no_more(
    place: Place,
    document: dict[str, object],
    facts: docker_facts.Facts,
    lost: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A registry keeps it, a cluster has its own copies, and of a daemon that is away nothing is known."""
    monkeypatch.setattr(docker_facts, "read", lambda *_: facts)
    assert place.stack("a").lost(load(document), steps("same").kept_images()) == lost
