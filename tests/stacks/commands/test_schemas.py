"""Who is asked how many migrations there are, in which order, and what is refused when nobody can say."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec
import pytest

from app.migrate import read_migrations
from app.schema_watch import Schema
from stacks.commands import image_labels, releases, schemas
from stacks.commands.client import Edge
from stacks.commands.failures import Failure
from stacks.commands.image_labels import Said
from stacks.commands.output import Output
from stacks.commands.project import Project
from stacks.commands.pulumi_cli import Configuration, Pulumi
from stacks.commands.releases import Release
from stacks.commands.stack import Stack
from stacks.document import load
from stacks.images.recipe import SCHEMA_LABEL
from tests.stacks.commands.test_registry import answering
from tests.stacks.commands.test_releases import release

OURS = len(read_migrations())
NOWHERE = Said(None, "here.example gives no answer")
NAMED = {"topology": "compose", "images": {"veloz": "here.example/veloz:1"}}
BOTH = [release(1), release(2, schema=None)]


@pytest.fixture
def stack(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Stack:
    """That was never deployed anywhere."""
    project = Project(tmp_path, "veloz", tmp_path, "")
    pulumi = Pulumi(tmp_path / "pulumi", project, {})
    monkeypatch.setattr(pulumi, "configuration", lambda _: Configuration({}, {}))
    monkeypatch.setattr(pulumi, "outputs", lambda _: {})
    return Stack("s", project, pulumi, Output())


def says(monkeypatch: pytest.MonkeyPatch, answer: Schema | str) -> None:
    def asked(_: Edge) -> Schema:
        if isinstance(answer, str):
            raise Failure(answer)
        return answer

    monkeypatch.setattr(schemas, "asked", asked)
    monkeypatch.setattr(Stack, "edge", lambda *_: Edge("http://x", "127.0.0.1", 1))


def test_a_built_image_knows_this_tree_s_and_is_not_asked(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(image_labels, "read")
    assert schemas.of_image(stack, load({"topology": "compose"})) == (OURS, "tree")


@pytest.mark.parametrize("topology", ["compose", "kubernetes"])
def test_a_named_image_knows_what_it_says_or_nobody_knows(
    topology: str, capsys: pytest.CaptureFixture[str], stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    spec = load({**NAMED, "topology": topology, "edge": {"hostname": "veloz.example.com"}})
    for said, number in ((Said({SCHEMA_LABEL: "7"}), 7), (Said({}), None), (NOWHERE, None)):
        monkeypatch.setattr(image_labels, "read", lambda *_, said=said: said)
        assert schemas.of_image(stack._replace(output=Output()), spec) == (number, "image")
    told = " ".join(capsys.readouterr().out.split())
    assert "it has no label io.veloz.schema" in told
    assert "here.example gives no answer" in told


def test_gateways_say_it_ready_or_not_and_what_else_answers_is_named() -> None:
    def health(body: object) -> dict[str, tuple[str, bytes]]:
        return {"/health": ("application/json", json.dumps(body).encode())}

    def at(place: str) -> Edge:
        return Edge(f"http://{place}", "127.0.0.1", int(place.rpartition(":")[2]))

    with answering(health({"ok": False, "schema": {"known": 3, "database": None}})) as (place, _):
        assert schemas.asked(at(place)) == Schema(3, None)
        before = release(1, schema=1)
        assert schemas.measured(before, at(place)) == msgspec.structs.replace(before, schema=3, witness="gateways")
    nothing: list[object] = [{"ok": True}, [], "x"]
    for body in nothing:
        with answering(health(body)) as (place, _), pytest.raises(Failure, match="too old, or none of them answers"):
            schemas.asked(at(place))
    with answering(health({"schema": {"known": "x"}})) as (place, _), pytest.raises(Failure, match="not known here"):
        schemas.asked(at(place))
    with pytest.raises(Failure, match="gives no answer"):
        schemas.asked(at(place))
    assert schemas.measured(before, at(place)) == before


def test_what_the_image_says_now_counts_more_than_the_record(stack: Stack) -> None:
    known = [release(1, schema=9), release(2, schema=2)]
    with pytest.raises(Failure, match="up to migration 1, and the database has 2"):
        schemas.returned_to(stack, known, Said({SCHEMA_LABEL: "1"}), None)
    assert schemas.returned_to(stack, known, Said({SCHEMA_LABEL: "2"}), None).schema == 2


@pytest.mark.parametrize(
    ("known", "database", "refusal"),
    [
        (BOTH, 1, ""),
        (BOTH, 2, "up to migration 1, and the database has 2"),
        ([release(1, schema=None), release(2)], 1, r"how many migrations release 1 .* knows: here.example gives no"),
    ],
)
def test_the_deployment_is_asked_what_its_database_has(
    known: list[Release], database: int, refusal: str, stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    says(monkeypatch, Schema(OURS, database))
    if refusal:
        with pytest.raises(Failure, match=refusal):
            schemas.returned_to(stack, known, NOWHERE, None)
    else:
        assert schemas.returned_to(stack, known, NOWHERE, None).id == 1


def test_when_nobody_can_say_it_is_refused_with_the_reasons_and_the_way(
    stack: Stack, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(Failure, match=r"came into the database with release 2\. .* it is not deployed"):
        schemas.returned_to(stack, BOTH, NOWHERE, None)
    for answer in ("http://x gives no answer.", Schema(OURS, None)):
        says(monkeypatch, answer)
        with pytest.raises(Failure, match=r"SELECT max\(version\) .* make rollback STACK=s ARGS='--schema NUMBER'"):
            schemas.returned_to(stack, BOTH, NOWHERE, None)


def test_a_person_s_word_decides(stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delattr(schemas, "asked")
    assert schemas.returned_to(stack, BOTH, NOWHERE, 1).id == 1
    with pytest.raises(Failure, match="up to migration 1, and the database has 2"):
        schemas.returned_to(stack, BOTH, NOWHERE, 2)
    back = schemas.returned_to(stack, [release(1, schema=None), release(2, schema=3)], NOWHERE, 3)
    assert (back.id, back.schema, back.witness) == (1, 3, "person")
    with pytest.raises(Failure, match="no good one that is any different"):
        schemas.returned_to(stack, [release(1)], NOWHERE, 1)
    assert releases.SchemaUnknown.__base__ is Failure
