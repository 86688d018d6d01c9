"""Whether the images of the stores can go on with the data of the last ones; refused before anything changes."""

from __future__ import annotations

import secrets
from typing import Any

import msgspec
import pytest

from stacks.commands import deploying, releases, store_images
from stacks.commands.deploying import Accepted
from stacks.commands.failures import Failure
from stacks.commands.releases import Release
from stacks.commands.stack import Stack
from stacks.document import load
from stacks.spec import Deployment
from tests.stacks.commands.conftest import Place

DIGEST = "@sha256:" + "0" * 64
EXTERNAL = {"postgres": {"store": "external", "host": "db.test"}}


def compose(**sections: Any) -> dict[str, Any]:  # noqa: ANN401 - as a stack file has it
    return {"topology": "compose", **sections}


def released(*documents: dict[str, Any], recorded: bool = True) -> list[Release]:
    known: list[Release] = []
    for document in documents:
        begun = releases.begin(known, document, schema=1, commit="")
        stores = store_images.used(load(document)) if recorded else None
        known.append(msgspec.structs.replace(begun, stores=stores).ended("good"))
    return known


def refusal(spec: Deployment, known: list[Release]) -> str:
    try:
        store_images.check("live", spec, known)
    except Failure as error:
        return str(error)
    return ""


@pytest.mark.parametrize(
    ("before", "now", "words"),
    [
        ({"postgres": "postgres:15.13"}, {"postgres": "registry:5000/postgres:15.14-bookworm"}, ""),
        ({"postgres": "postgres:15.13"}, {"postgres": "postgres:16.2"}, "no other major version's data"),
        ({"postgres": "postgres:16.2"}, {"postgres": "postgres:15.13"}, "no other major version's data"),
        ({"postgres": "postgres:15.13"}, {"postgres": f"postgres:15{DIGEST}"}, ""),
        ({"postgres": "postgres:15.13"}, {"postgres": f"postgres{DIGEST}"}, "nobody knows"),
        ({"postgres": f"postgres{DIGEST}"}, {"postgres": "postgres:15.13"}, "nobody knows"),
        ({"postgres": f"postgres{DIGEST}"}, {"postgres": f"postgres{DIGEST}"}, ""),
        ({"postgres": "timescaledb:2.15-pg15"}, {"postgres": "timescaledb:2.16-pg16"}, "nobody knows"),
        ({"redis": "redis:7.4.5"}, {"redis": "redis:8.0"}, ""),
        ({"redis": "redis:7.4.5"}, {"redis": "redis:7.4.1"}, ""),
        ({"redis": "redis:7.4.5"}, {"redis": "redis:7"}, ""),
        ({"redis": "redis:7.4.5"}, {"redis": "redis:7.2.9"}, "an older Redis cannot read"),
        ({"redis": "redis:8.0"}, {"redis": "redis:7.4.5"}, "an older Redis cannot read"),
        ({"redis": "redis:8.0"}, {"redis": f"redis{DIGEST}"}, "nobody knows"),
    ],
)
def test_what_cannot_go_on_with_the_data_is_refused(before: dict[str, str], now: dict[str, str], words: str) -> None:
    said = refusal(load(compose(images=now)), released(compose(images=before)))
    assert bool(said) == bool(words)
    assert words in said


def test_a_refusal_says_value_rule_and_remedy() -> None:
    known = released(compose(images={"postgres": "postgres:15.13"}))
    said = refusal(load(compose(images={"postgres": "postgres:16.2"})), known)
    assert said.startswith(
        "images.postgres = postgres:16.2: the data are of postgres:15.13, by release 1, and PostgreSQL"
    )
    assert "pg_dumpall" in said
    assert "pg_upgrade" in said
    assert said.endswith("make up STACK=live ARGS=--stores-changed")


def test_the_last_release_that_had_the_store_counts_until_all_is_destroyed() -> None:
    other = load(compose(images={"postgres": "postgres:16.2"}))
    known = released(compose(), compose(**EXTERNAL))
    assert "by release 1" in refusal(other, known)
    assert not refusal(load(compose(**EXTERNAL)), known)
    ended = releases.begin(known, {}, schema=0, commit="").ended("destroyed")
    assert not refusal(other, [*known, ended])
    assert not refusal(other, [])


@pytest.mark.parametrize("outcome", ["begun", "failed"])
def test_a_release_that_did_not_come_to_its_end_may_have_made_the_data(outcome: releases.Outcome) -> None:
    known = [one.ended(outcome) for one in released(compose())]
    assert refusal(load(compose(images={"postgres": "postgres:16.2"})), known)


def test_an_old_record_tells_by_its_description_or_had_what_was_usual_then() -> None:
    other = load(compose(images={"postgres": "postgres:16.2"}))
    assert "are of postgres:15.13-bookworm" in refusal(other, released(compose(), recorded=False))
    named = compose(images={"postgres": "postgres:16.1"})
    assert not refusal(other, released(named, recorded=False))
    assert not refusal(other, released(compose(**EXTERNAL), {"topology": "single"}, recorded=False))


def test_only_stores_in_containers_of_their_own_are_recorded() -> None:
    assert store_images.used(load({"topology": "single"})) == {}
    assert store_images.used(load(compose(**EXTERNAL, images={"redis": "redis:7.4"}))) == {"redis": "redis:7.4"}


@pytest.mark.timeout(120)
def test_up_and_rollback_are_refused_before_the_target_is_asked(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    class Asked(Exception):
        pass

    def asked(*_: object) -> None:
        raise Asked

    monkeypatch.setattr(Stack, "check", asked)
    newer, older = compose(images={"postgres": "postgres:16.2"}), compose(images={"postgres": "postgres:15.13"})
    place.write("live", older)
    stack = place.stack("live")
    stack.pulumi.environ["PULUMI_CONFIG_PASSPHRASE"] = secrets.token_hex()
    stack.pulumi.run(["stack", "init", "live"])
    releases.write(place.project.releases("live"), released(newer))
    before = place.state()
    for back in (None, released(older)[0]):
        wanted = deploying.Wanted(load(older), older, back=back)
        with pytest.raises(Failure, match=f"make {'rollback' if back else 'up'} STACK=live ARGS=--stores-changed"):
            deploying.deploy(stack, wanted, seconds=1)
        with pytest.raises(Asked):
            deploying.deploy(stack, wanted._replace(accepted=Accepted(stores_changed=True)), seconds=1)
    assert place.state() == before
