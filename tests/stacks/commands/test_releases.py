"""Records of releases: what is returned to, what is refused, and that a file is whole or as it was."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest

from stacks.commands import atomic, releases
from stacks.commands.failures import Failure
from stacks.commands.releases import Outcome, Release, SchemaUnknown, Witness, target


def release(
    number: int,
    outcome: Outcome = "good",
    *,
    schema: int | None = 1,
    of: int = 0,
    name: str = "",
    witness: Witness = "image",
    database: int | None = None,
) -> Release:
    """Each with an image of its own, or that of the release it returns to."""
    image = f"veloz:{name or of or number}"
    return Release(
        id=number,
        time="2026-01-01T00:00:00Z",
        outcome=outcome,
        deployment={},
        image=image,
        schema=schema,
        witness=witness,
        database=database,
        of=of,
    )


@pytest.mark.parametrize(
    ("known", "expected"),
    [
        ([release(1), release(2)], 1),
        ([release(1), release(2, "failed")], 1),
        ([release(1), release(2, "begun")], 1),
        ([release(1), release(2, "failed"), release(3)], 1),
        # Of those that are the same as the current one none is any use.
        ([release(1), release(2), release(3, name="2"), release(4, "failed", name="2")], 1),
        # After a return, a second one goes further back instead of forward.
        ([release(1), release(2), release(3), release(4, of=2)], 1),
        # What served before it is returned to, not what had been left.
        ([release(1), release(2), release(3, of=1), release(4)], 1),
        ([release(1), release(2), release(3, of=1), release(4, "failed")], 1),
        ([release(1), release(2), release(3, of=1), release(4, "begun")], 1),
        ([release(1), release(2), release(3, of=1), release(4), release(5, of=1), release(6, "failed")], 1),
        ([release(1), release(2), release(3, of=1), release(4), release(5), release(6, of=4)], 1),
        # A return that did not come to its end goes on, however often.
        ([release(1), release(2), release(3, "begun", of=1)], 1),
        ([release(1), release(2), release(3, "failed", of=1)], 1),
        ([release(1), release(2), release(3, "begun", of=1), release(4, "failed", of=1)], 1),
        ([release(1), release(2), release(3, "failed"), release(4, "begun", of=2)], 2),
        ([release(1), release(2), release(3, "failed"), release(4, "failed", of=2)], 2),
        ([release(1), release(2), release(3, "failed"), release(4, "failed", of=2), release(5, of=2)], 1),
        ([release(1), release(2), release(3), release(4, of=2), release(5, "begun", of=1)], 1),
        # And nobody goes on with it who released something else since.
        ([release(1), release(2), release(3, "failed", of=1), release(4, "failed")], 2),
        ([release(1), release(2), release(3, "failed", of=1), release(4)], 2),
        ([release(1, schema=2), release(2, schema=2), release(3, "failed", schema=2)], 2),
        # It served on what those before it had left.
        ([release(1, schema=9), release(2, "failed", schema=None), release(3), release(4)], 3),
        ([release(1, witness=""), release(2, witness="")], 1),
    ],
)
def test_what_served_before_the_current_release_is_returned_to(known: list[Release], expected: int) -> None:
    assert target(known).id == expected


@pytest.mark.parametrize(
    ("known", "refusal"),
    [
        ([], "Nothing was released"),
        ([release(1)], "no good one that is any different"),
        ([release(1, "failed"), release(2)], "no good one that is any different"),
        ([release(1), release(2, name="1")], "no good one that is any different"),
        ([release(1), release(2, schema=2)], "knows the schema up to migration 1, and the database has 2"),
        # Its gateways may have migrated the database before it failed.
        ([release(1), release(2, "failed", schema=2)], "knows the schema up to migration 1"),
        ([release(1), release(2, "begun", schema=2), release(3)], "knows the schema up to migration 1"),
        ([release(1), release(2, database=2)], "knows the schema up to migration 1, and the database has 2"),
        ([release(1), release(2), release(3, "destroyed")], "destroyed with its data"),
        ([release(1), release(2, "destroyed"), release(3)], "no good one that is any different"),
        ([release(1), release(2), release(3, of=1)], "no good one that is any different"),
        ([release(1), release(2), release(3, "begun", of=1), release(4, of=1)], "no good one that is any different"),
        ([release(1), release(2, schema=2), release(3, "begun", of=1)], "knows the schema up to migration 1"),
    ],
)
def test_returning_is_refused(known: list[Release], refusal: str) -> None:
    with pytest.raises(Failure, match=refusal):
        target(known)


def old(number: int) -> Release:
    """Of an image that was named: its number may be that of the tree it was deployed from."""
    return msgspec.structs.replace(release(number, witness=""), deployment={"images": {"veloz": f"veloz:{number}"}})


@pytest.mark.parametrize(
    ("known", "whose"),
    [
        ([release(1, schema=None), release(2)], "release 1"),
        ([release(1, schema=0), release(2)], "release 1"),
        ([old(1), release(2)], "release 1"),
        ([release(1), release(2, schema=None)], "with release 2"),
        ([release(1), release(2, "failed", schema=None), release(3, "begun", schema=None), release(4)], "release 2, 3"),
        ([release(1), old(2)], "with release 2"),
    ],
)
def test_what_nobody_knows_is_not_taken_for_compatible(known: list[Release], whose: str) -> None:
    with pytest.raises(SchemaUnknown, match=whose):
        target(known)


def test_what_the_database_has_counts_more_than_what_releases_may_have_left() -> None:
    known = [release(1), release(2, "failed", schema=None), release(3, "failed", schema=2)]
    assert target(known, database=1).id == 1
    with pytest.raises(Failure, match="knows the schema up to migration 1, and the database has 2"):
        target(known, database=2)
    with pytest.raises(SchemaUnknown):
        target([old(1), release(2)], database=1)


def test_the_schema_of_a_destroyed_database_is_no_matter() -> None:
    known = [release(1, schema=9), release(2, "destroyed"), release(3), release(4)]
    assert target(known).id == 3


def test_records_are_read_as_they_were_written(tmp_path: Path) -> None:
    path = tmp_path / "Pulumi.x.releases.jsonl"
    deployment: dict[str, Any] = {"topology": "single", "edge": {"http_port": 8080}}
    first = releases.begin([], deployment, schema=2, commit="abc+")
    releases.put(path, first)
    assert releases.read(path) == [first]
    releases.put(path, first.ended("good"))
    second = releases.begin(releases.read(path), deployment, schema=2, commit="", of=1)
    releases.put(path, second)
    assert [(one.id, one.outcome) for one in releases.read(path)] == [(1, "good"), (2, "begun")]
    assert len(path.read_text().splitlines()) == 2


def test_records_of_before_are_read(tmp_path: Path) -> None:
    path = tmp_path / "x"
    line = '{"id":%d,"time":"2026-01-01T00:00:00Z","outcome":"good","deployment":%s,"image":"v:1","schema":%d}\n'
    path.write_text(line % (1, "{}", 0) + line % (2, "{}", 2) + line % (3, '{"images":{"veloz":"v:1"}}', 2))
    assert [one.knows for one in releases.read(path)] == [None, 2, None]


def test_a_line_that_is_no_release_is_refused_by_its_number(tmp_path: Path) -> None:
    path = tmp_path / "x"
    releases.put(path, release(1))
    path.write_text(path.read_text() + '{"id": 2}\n')
    with pytest.raises(Failure, match=r"line 2 is no release.*Restore the line"):
        releases.read(path)


def test_a_write_that_breaks_off_leaves_what_was_there(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "x"
    atomic.write(path, "before")

    def broken(_descriptor: int) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("stacks.commands.atomic.os.fsync", broken)
    with pytest.raises(KeyboardInterrupt):
        atomic.write(path, "after")
    assert [one.name for one in tmp_path.iterdir()] == ["x"]
    assert path.read_text() == "before"
