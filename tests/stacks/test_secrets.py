"""Which secrets a deployment needs, which of them are random, and what is refused of those it has."""

from __future__ import annotations

import json
import secrets as random
from typing import Any

import pulumi
import pytest
from hypothesis import given

from stacks.document import load
from stacks.refusals import SpecError
from stacks.secrets import NAMES, RANDOM, Secrets, optional, problems, random_names, required, useful
from stacks.spec import Deployment, Edge, Monitoring, Postgres, Redis, Tls
from tests.stacks.strategies import deployments

COMPOSE = Deployment(topology="compose")
PEM = "-----BEGIN CERTIFICATE-----\n"
ALL = ("postgres_password", "redis_password", "api_key", "cluster_secret", "grafana_password")


def values(spec: Deployment) -> dict[str, Any]:
    """A value for each that is required."""
    known = {
        "postgres_dsn": f"postgresql://u:p@{spec.postgres.host}:{spec.postgres.port}/veloz",
        "redis_url": f"rediss://:p@{spec.redis.host}:{spec.redis.port}/0",
        "tls_certificate": PEM,
        "tls_key": PEM,
        "tls_ca": PEM,
    }
    return {name: known.get(name) or random.token_hex(32) for name in required(spec)}


class Config:
    def __init__(self, found: object) -> None:
        self.found = found

    def get_object(self, key: str) -> object:
        assert key == "secrets"
        return json.loads(json.dumps(self.found))


@pytest.mark.parametrize(
    ("spec", "names"),
    [
        (
            Deployment(
                topology="single",
                edge=Edge(tls=Tls(source="none")),
                postgres=Postgres(store="embedded"),
                redis=Redis(store="embedded"),
            ),
            {"api_key"},
        ),
        (COMPOSE, {*ALL, "tls_certificate", "tls_key", "tls_ca"}),
        (Deployment(topology="kubernetes"), {*ALL, "tls_certificate", "tls_key", "tls_ca"}),
        (Deployment(topology="compose", edge=Edge(tls=Tls(source="none"))), set(ALL)),
        (Deployment(topology="compose", edge=Edge(tls=Tls(source="provided"))), {*ALL, "tls_certificate", "tls_key"}),
        (Deployment(topology="kubernetes", edge=Edge(kind="ingress", tls=Tls(source="issued", issuer="x"))), set(ALL)),
        (
            Deployment(
                topology="compose",
                postgres=Postgres(store="external", host="h"),
                redis=Redis(store="external", host="h"),
                monitoring=Monitoring(grafana=False),
            ),
            {"postgres_dsn", "redis_url", "api_key", "cluster_secret", "tls_certificate", "tls_key", "tls_ca"},
        ),
    ],
)
def test_what_a_deployment_needs(spec: Deployment, names: set[str]) -> None:
    assert set(required(spec)) == names
    assert set(random_names(spec)) == names & set(ALL)


@given(deployments())
def test_what_is_required_is_enough(spec: Deployment) -> None:
    assert problems(values(spec), spec) == []
    assert set(required(spec)) & set(optional(spec)) == set()
    assert set(required(spec)) | set(optional(spec)) <= set(NAMES)
    assert set(random_names(spec)) <= set(RANDOM)


@given(deployments())
def test_each_that_is_required_is_missed(spec: Deployment) -> None:
    for name in required(spec):
        for lacking in ({}, {name: ""}):
            given_values = {other: value for other, value in values(spec).items() if other != name} | lacking
            (refusal,) = problems(given_values, spec)
            assert (refusal.path, refusal.rule) == (f"veloz:secrets.{name}", "is missing")


@pytest.mark.parametrize(
    ("name", "value", "rule"),
    [
        ("api_key", "short", "placeholder"),
        ("api_key", "abcdef0123456789" * 4, "placeholder"),
        ("postgres_password", "a1b2c3d4e5f60718293a4b5c6d7e8f90", "must be a random key of at least 256 bit"),
        ("cluster_secret", 7, "must be text"),
        ("admin_password", "short", "must have at least 16 characters"),
        ("postgres_dsn", "mysql://x", "not of a form that a gateway reads"),
        ("redis_url", "http://x", "not of a form that a gateway reads"),
        ("tls_key", "key", "must be PEM"),
        ("tls_kei", "x", "is not one of postgres_password, "),
        ("binance_api_secret", "x", "is missing beside binance_api_secret"),
    ],
)
def test_what_cannot_be_good_is_refused_and_not_shown(name: str, value: object, rule: str) -> None:
    (refusal,) = problems(values(COMPOSE) | {name: value}, COMPOSE)
    assert rule in refusal.rule
    assert refusal.value is None
    assert refusal.remedy
    assert repr(value) not in str(refusal).replace("beside binance_api_secret", "")


@pytest.mark.parametrize(
    ("name", "spec", "remedy"),
    [
        ("postgres_password", COMPOSE, "run `make init STACK=…`, which makes it"),
        ("tls_key", COMPOSE, "run `make init STACK=…`, which makes it"),
        (
            "tls_key",
            Deployment(topology="compose", edge=Edge(tls=Tls(source="provided"))),
            "pulumi config set --secret --path 'veloz:secrets.tls_key'",
        ),
        (
            "postgres_dsn",
            Deployment(topology="compose", postgres=Postgres(store="external", host="h")),
            "pulumi config set --secret --path 'veloz:secrets.postgres_dsn'",
        ),
    ],
)
def test_a_missing_one_names_the_command_that_brings_it(name: str, spec: Deployment, remedy: str) -> None:
    with pytest.raises(SpecError) as refused:
        Secrets.from_config(Config({}), spec)
    found = {refusal.path: refusal.remedy for refusal in refused.value.refusals}
    assert set(found) == {f"veloz:secrets.{name}" for name in required(spec)}
    assert found[f"veloz:secrets.{name}"] == remedy


@pytest.mark.parametrize("nothing", [None, {}, "text", []])
def test_a_stack_without_secrets_is_refused_in_words(nothing: object) -> None:
    with pytest.raises(SpecError, match="make init"):
        Secrets.from_config(Config(nothing), COMPOSE)


async def test_what_the_configuration_has_comes_as_secrets() -> None:
    given_values = values(COMPOSE) | {
        "binance_api_key": "k",
        "binance_api_secret": "s",
        "postgres_dsn": "postgresql://h/d",
    }
    bundle = Secrets.from_config(Config(given_values), COMPOSE)
    for name in NAMES:
        found = getattr(bundle, name)
        if name in given_values and name != "postgres_dsn":
            assert isinstance(found, pulumi.Output)
            assert await found.is_secret()
            assert await found.future() == given_values[name]
        else:
            assert found is None


def test_its_repr_shows_names_alone() -> None:
    assert repr(Secrets(api_key="hidden", tls_key="hidden")) == "Secrets(api_key, tls_key)"


def test_what_another_description_left_in_the_configuration_is_passed_over() -> None:
    """A DSN is made of a password where there is one: not of an old one beside an external database."""
    spec = load({"topology": "compose", "postgres": {"store": "external", "host": "db.test"}})
    left = {"postgres_dsn": "postgresql://a", "postgres_password": "old", "admin_password": ""}
    assert useful(left, spec) == {"postgres_dsn": "postgresql://a"}
