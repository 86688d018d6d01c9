"""What of a preview's document counts as built, and as gone since."""

from __future__ import annotations

from pathlib import Path

import pytest

from stacks.commands import docker_facts
from stacks.commands.changes import Change, Steps
from stacks.commands.failures import Failure
from stacks.commands.pulumi_cli import Done
from stacks.commands.stack import Stack, left_behind, steps_of
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
    ("document", "lacks", "lost"),
    [
        ({"topology": "single"}, True, [URN]),
        ({"topology": "single"}, False, []),
        ({"topology": "compose", "images": {"registry": "registry.test/x"}}, True, []),
        ({"topology": "kubernetes", "edge": {"hostname": "a.test"}}, True, []),
    ],
)
def test_it_is_made_anew_where_the_docker_host_has_it_no_more(
    place: Place,
    document: dict[str, object],
    lacks: bool,  # noqa: FBT001 - what the daemon says
    lost: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A registry keeps it, and a cluster has its own copies."""
    monkeypatch.setattr(docker_facts, "lacks", lambda *_: lacks)
    assert place.stack("a").lost(load(document), steps("same").kept_images()) == lost


def test_of_a_daemon_that_is_away_nothing_is_known(tmp_path: Path) -> None:
    spec = load({"topology": "single", "docker": {"host": f"unix://{tmp_path}/none.sock"}})
    assert docker_facts.lacks(spec, {}, "veloz:1-abc") is False


@pytest.mark.parametrize("text", ["", "nothing", "{broken"])
def test_a_preview_that_cannot_be_read_is_no_preview_without_changes(text: str) -> None:
    with pytest.raises(Failure, match="cannot be read"):
        steps_of(Done(0, text, ""))
    assert steps_of(Done(1, text, "error: no")).steps == ()  # the reason is pulumi's own


def test_what_stands_around_a_preview_is_passed_over() -> None:
    assert steps_of(Done(0, 'warning: a\n{"steps": [{"op": "same"}]}\nwarning: b', "")).steps == [{"op": "same"}]


def test_data_that_stay_where_they_are_are_said() -> None:
    volume = {
        "type": "docker:index/volume:Volume", "id": "x-postgres-data", "retainOnDelete": True,
    }  # fmt: skip
    step = {
        "op": "delete",
        "urn": "urn:pulumi:x::y::docker:index/volume:Volume::volume-postgres-data",
        "oldState": volume,
    }
    (change,) = Steps.of({"steps": [step]}).changes()
    assert change.row == ("keep", "Volume", "volume-postgres-data", "x-postgres-data")
    assert left_behind(change).endswith("To delete it: docker volume rm x-postgres-data")
    claim = left_behind(Change("delete", "StatefulSet", "veloz-postgres"))
    assert claim.startswith("The claim data-veloz-postgres-0 holds data and stays")
    assert left_behind(Change("delete", "Volume", "volume-gateway-1-files")) == ""


def test_a_test_that_ended_badly_is_run_again(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its status is in the state, and would end every later update; that of a part that runs is nobody's business here."""

    def container(name: str, **outputs: object) -> dict[str, object]:
        return {"type": "docker:index/container:Container", "urn": f"urn:{name}", "outputs": {"name": name, **outputs}}

    there = [
        container("balancer-test", attach=True, exitCode=137),
        container("other-test", attach=True, exitCode=0),
        container("gateway-1", attach=False, exitCode=1),
        {"type": "pulumi:pulumi:Stack", "urn": "urn:stack"},
    ]
    monkeypatch.setattr(Stack, "resources", lambda _: there)
    assert place.stack("a").failed() == ["urn:balancer-test"]
    assert place.stack("a").containers() == {"balancer-test", "other-test", "gateway-1"}
