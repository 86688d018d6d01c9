"""The files of a gateway are those that its variables name, with the secrets in them; on Docker in a volume for each set."""

from __future__ import annotations

import pulumi
import pytest

from stacks.environment import variables
from stacks.files import File, gateway_files, given
from stacks.secrets import Secrets
from stacks.spec import Deployment, Postgres, Redis
from tests.stacks import declared as d
from tests.stacks.declared import VOLUME, described
from tests.stacks.recorder import Recording

COMPOSE = Deployment(topology="compose")
SECRETS = Secrets(api_key="a", cluster_secret="c", postgres_password="p", redis_password="r+/=", grafana_password="g")


async def contents(spec: Deployment, secrets: Secrets) -> dict[str, str]:
    found = {}
    for file in gateway_files(spec, secrets):
        assert file.secret
        assert file.mode == "0440"
        output = pulumi.Output.from_input(file.content)
        found[file.path] = await output.future()
    return {path: text for path, text in found.items() if text is not None}


async def test_deployed_stores_are_reached_with_their_passwords() -> None:
    assert await contents(COMPOSE, SECRETS) == {
        "/run/veloz/api_key": "a",
        "/run/veloz/cluster_secret": "c",
        "/run/veloz/postgres_dsn": "postgresql://veloz:p@10.213.2.3:5432/veloz",
        "/run/veloz/redis_url": "redis://:r%2B%2F%3D@10.213.3.4:6379/0",
    }


async def test_what_is_made_of_a_secret_is_one() -> None:
    for file in gateway_files(COMPOSE, SECRETS):
        if file.name in {"postgres_dsn", "redis_url"}:
            assert isinstance(file.content, pulumi.Output)
            assert await file.content.is_secret()


async def test_external_stores_are_reached_as_the_user_says() -> None:
    spec = Deployment(
        topology="kubernetes",
        postgres=Postgres(store="external", host="h"),
        redis=Redis(store="external", host="h"),
    )
    secrets = Secrets(api_key="a", cluster_secret="c", postgres_dsn="postgresql://h/x", redis_url="rediss://h")
    found = await contents(spec, secrets)
    assert found["/run/veloz/postgres_dsn"] == "postgresql://h/x"
    assert found["/run/veloz/redis_url"] == "rediss://h"


async def test_single_has_its_first_key_alone() -> None:
    assert await contents(Deployment(topology="single"), Secrets(api_key="a")) == {"/run/veloz/api_key": "a"}


async def test_the_variables_name_the_files_and_no_others() -> None:
    secrets = Secrets(
        api_key="a",
        cluster_secret="c",
        postgres_password="p",
        redis_password="r",
        binance_api_key="k",
        binance_api_secret="s",
        admin_password="w",
    )
    for topology in ("compose", "kubernetes"):
        spec = Deployment(topology=topology)
        named = {value for name, value in variables(spec, 1, given(secrets)).items() if value.startswith("/run/")}
        assert named == set(await contents(spec, secrets))
        assert len(named) == 7


def test_a_secret_that_is_missing_is_a_mistake_of_the_program() -> None:
    with pytest.raises(ValueError, match="the secret api_key is missing"):
        gateway_files(Deployment(topology="single"), Secrets())


def test_what_is_no_secret_all_may_read() -> None:
    assert File("/etc/x/y.conf", "").mode == "0444"
    assert File("/etc/x/y.conf", "").name == "y.conf"


def test_a_file_that_comes_or_goes_is_in_another_volume() -> None:
    """Docker takes none out of a volume: a secret that is removed would stay. New contents of the same files change none."""
    spec = described(topology="compose")
    few = d.secret_values(spec)
    many = few | {"binance_api_key": "k" * 64, "binance_api_secret": "s" * 64}
    plain = described(topology="compose", edge={"tls": {"source": "none"}})

    def volumes(seen: Recording) -> set[str]:
        return {it.inputs["name"] for it in seen.of(VOLUME)}

    before = volumes(d.declare(spec, few))
    assert before == volumes(d.declare(spec, few | {"api_key": few["cluster_secret"]}))
    gone = {f"veloz-gateway-{it}" for it in (1, 2, 3)}
    assert {it.partition("-files")[0] for it in before - volumes(d.declare(spec, many))} == gone
    assert {it.partition("-files")[0] for it in before - volumes(d.declare(plain))} == {
        "veloz-balancer",
        "veloz-balancer-test",
    }
