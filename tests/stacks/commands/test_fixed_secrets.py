"""A changed password of the database or secret of the gateways is noticed before anything is done."""

from __future__ import annotations

from typing import Any

import pytest

from stacks.commands import fixed_secrets, releases
from stacks.commands.failures import Failure
from stacks.document import load
from stacks.spec import Deployment

GIVEN = {"postgres_password": "p" * 64, "cluster_secret": "c" * 64, "api_key": "k" * 64, "grafana_password": "g" * 64}


def released(spec: Deployment, given: dict[str, str]) -> list[releases.Release]:
    digests = fixed_secrets.digests(spec, given)
    return [releases.begin([], {}, schema=1, commit="", fixed=digests).ended("good")]


@pytest.mark.parametrize(
    ("document", "name", "remedy"),
    [
        (
            {"topology": "compose", "name": "a"},
            "postgres_password",
            "by: docker exec -it a-postgres psql --username veloz.",
        ),
        (
            {"topology": "kubernetes", "name": "a", "edge": {"hostname": "a.test"}},
            "postgres_password",
            "by: kubectl --namespace a exec -it veloz-postgres-0 -- psql --username veloz.",
        ),
        (
            {"topology": "compose", "name": "a"},
            "grafana_password",
            "docker exec -it a-grafana grafana cli admin reset-admin-password NEW. Then: make up STACK=s",
        ),
        ({"topology": "compose", "name": "a"}, "cluster_secret", "make destroy STACK=s. Then: make up STACK=s"),
    ],
)
def test_one_that_was_changed_is_refused_with_the_way(document: dict[str, Any], name: str, remedy: str) -> None:
    spec = load(document)
    known = released(spec, GIVEN)
    fixed_secrets.check("s", spec, known, GIVEN | {"api_key": "another"})
    with pytest.raises(Failure) as raised:
        fixed_secrets.check("s", spec, known, GIVEN | {name: "d" * 64})
    assert f"veloz:secrets.{name} is not" in str(raised.value)
    assert remedy in str(raised.value)
    assert "d" * 64 not in str(raised.value)


@pytest.mark.parametrize(
    ("document", "names"),
    [
        ({"topology": "single"}, set()),
        ({"topology": "compose"}, {"postgres_password", "cluster_secret", "grafana_password"}),
        (
            {
                "topology": "compose",
                "postgres": {"store": "external", "host": "db.test"},
                "monitoring": {"grafana": False},
            },
            {"cluster_secret"},
        ),
        (
            {"topology": "kubernetes", "edge": {"hostname": "a.test"}},  # Grafana has no data there
            {"postgres_password", "cluster_secret"},
        ),
    ],
)
def test_only_those_are_recorded_that_the_deployment_cannot_be_given_anew(
    document: dict[str, Any], names: set[str]
) -> None:
    assert fixed_secrets.digests(load(document), GIVEN).keys() == names


def test_nothing_is_refused_before_the_first_release_nor_after_the_data_went() -> None:
    spec, other = load({"topology": "compose"}), dict.fromkeys(GIVEN, "d" * 64)
    known = released(spec, GIVEN)
    fixed_secrets.check("s", spec, [], other)
    fixed_secrets.check("s", spec, [releases.begin([], {}, schema=1, commit="")], other)
    fixed_secrets.check("s", spec, [*known, releases.begin(known, {}, schema=0, commit="").ended("destroyed")], other)


def test_a_record_does_not_hold_the_secret_and_no_two_are_alike() -> None:
    spec = load({"topology": "compose"})
    first, second = (fixed_secrets.digests(spec, GIVEN)["cluster_secret"] for _ in range(2))
    assert first != second
    assert "c" * 8 not in first


def test_a_database_that_was_away_for_a_while_has_its_password_still() -> None:
    here, away = (
        load({"topology": "compose", "postgres": store})
        for store in ({"store": "deployed"}, {"store": "external", "host": "db.test"})
    )
    known = [*released(here, GIVEN), *released(away, GIVEN)]
    fixed_secrets.check("s", here, known, GIVEN)
    with pytest.raises(Failure, match="postgres_password is not the one"):
        fixed_secrets.check("s", here, known, GIVEN | {"postgres_password": "d" * 64})
    gone = known[-1].ended("destroyed")
    fixed_secrets.check("s", here, [*known, gone], GIVEN | {"postgres_password": "d" * 64})
