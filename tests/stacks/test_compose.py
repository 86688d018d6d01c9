"""A balancer before several gateways, and what is replaced after what."""

from __future__ import annotations

from typing import Any

import pulumi
import pytest

from stacks import document, edge, names, ports
from stacks.spec import Deployment
from tests.stacks import declared as d
from tests.stacks.declared import declare, declared, described
from tests.stacks.recorder import configured, record

COMPOSE = described(topology="compose")
HAPROXY = described(topology="compose", edge={"kind": "haproxy"})
FIVE = described(topology="compose", gateways={"replicas": 5})
both = pytest.mark.parametrize("spec", [COMPOSE, HAPROXY], ids=["nginx", "haproxy"])


def test_the_example_is_three_gateways_behind_one_balancer_with_stores_and_monitoring() -> None:
    text = (document.STACKS / "Pulumi.compose.yaml").read_text()
    seen = record(config=configured(text, d.secret_values(document.load(text))))
    assert {it.inputs["name"] for it in d.lasting(seen)} == {
        "veloz-balancer",
        "veloz-gateway-1",
        "veloz-gateway-2",
        "veloz-gateway-3",
        "veloz-grafana",
        "veloz-postgres",
        "veloz-prometheus",
        "veloz-redis",
    }
    assert seen.outputs["url"] == "https://localhost"


def test_gateways_are_replaced_one_after_the_other() -> None:
    """Each, and its files, waits for the one before. None uses what another gives: Pulumi would delete all first."""
    seen = declared(FIVE)
    for replica in range(2, 6):
        for name in (f"gateway-{replica}", f"gateway-{replica}-files"):
            assert f"gateway-{replica - 1}" in seen.named(name).depends_on
    for replica in range(1, 6):
        own = {f"gateway-{replica}-files", f"volume-{d.files_volume(seen, f'gateway-{replica}')}"}
        used = frozenset[str]().union(*seen.named(f"gateway-{replica}").uses.values())
        assert {it for it in used if "gateway" in it} <= own
        assert seen.named(f"gateway-{replica}").replace_with == {f"gateway-{replica}-files"}


def test_gateways_come_after_the_stores_and_the_balancer_hears_of_them_when_they_are_there() -> None:
    seen = declared(FIVE)
    assert {"postgres", "redis"} <= seen.named("gateway-1").depends_on
    assert {f"gateway-{n}" for n in range(1, 6)} <= seen.named("balancer-files").depends_on


def test_another_gateway_changes_no_container_but_its_own_the_balancers_files_and_prometheus() -> None:
    three, five = (({it.name: it for it in declared(spec).of(d.CONTAINER)}) for spec in (COMPOSE, FIVE))
    changed = {name for name in three if three[name].inputs != five[name].inputs}
    assert changed == {"balancer-files", "balancer-test-files", "prometheus-files"}
    assert five["prometheus"].replace_with == {"prometheus-files"}


def test_a_release_replaces_gateways_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a new version, with another image: networks, stores and the balancer stay as they are."""
    before = {it.name: it.inputs for it in declare(COMPOSE).resources}
    monkeypatch.setattr(names, "__version__", "99.0.0")
    newer = described(topology="compose", images={"veloz": "registry.example/veloz:99.0.0"})
    after = {it.name: it.inputs for it in declare(newer).resources}
    changed = {name for name in before if before[name] != after[name]}
    assert changed == {f"gateway-{replica}{of}" for replica in (1, 2, 3) for of in ("", "-files")}


@both
def test_the_balancer_stays_when_its_configuration_changes_and_the_test_is_run_again(spec: Deployment) -> None:
    seen = declared(spec)
    assert seen.named("balancer").replace_with == set()
    test = seen.named("balancer-test")
    assert test.replace_with == {"balancer-test-files"}
    assert test.inputs["attach"] is True
    assert test.inputs["networkMode"] == "none"
    # What fails the test is never where a balancer that starts again finds it.
    assert "balancer-test" in seen.named("balancer-files").depends_on
    assert d.uploads(seen, "balancer") == d.uploads(seen, "balancer-test")
    assert d.files_volume(seen, "balancer") != d.files_volume(seen, "balancer-test")


@both
def test_the_balancers_files_are_the_edges(spec: Deployment) -> None:
    files = d.uploads(declared(spec), "balancer")
    name, text = edge.configuration(spec)
    assert files[f"/etc/veloz/balancer/{name}"] == text
    for replica in range(1, 4):
        assert f"{names.address(spec, 'app', 'gateway', replica)}:{ports.GATEWAY}" in text
    values = d.secret_values(spec)
    assert files["/etc/veloz/balancer/tls.crt"] == values["tls_certificate"]
    assert files["/etc/veloz/balancer/tls.key"] == values["tls_key"]
    assert files["/etc/veloz/balancer/watch.sh"].startswith("#!/bin/sh")


@both
def test_a_configuration_that_the_balancer_refuses_ends_the_program_with_what_it_says(spec: Deployment) -> None:
    """And no balancer is made that would only be waited for."""
    seen: list[str] = []

    def refused(_kind: str, inputs: dict[str, Any]) -> dict[str, Any]:
        seen.append(inputs.get("name", ""))
        return {"exitCode": 1, "containerLogs": "hello\n" * 50 + "bad\n\n  directive\n"} if inputs.get("attach") else {}

    with pytest.raises(
        pulumi.RunError, match=r"refuses its new configuration.*status 1.* hello \| bad \| directive$"
    ) as failed:
        declare(spec, computed=refused)
    assert str(failed.value).count("hello") < 20
    assert names.container(spec, "balancer-test") in seen
    assert not {names.container(spec, name) for name in ("balancer", "balancer-files")} & set(seen)


def test_prometheus_scrapes_every_gateway_and_itself_where_they_listen() -> None:
    seen = declared(FIVE)
    listening = {
        f"{host}:{port}"
        for it in (*d.of_role(seen, "gateway"), *d.of_role(seen, "prometheus"))
        for host, port in d.listening(seen, it)
    }
    assert d.scraped(seen) == listening


def test_external_stores_are_not_deployed_and_their_addresses_are_files() -> None:
    spec = described(
        topology="compose",
        postgres={"store": "external", "host": "db.example"},
        redis={"store": "external", "host": "redis.example"},
    )
    seen = declared(spec)
    assert not d.of_role(seen, "postgres")
    assert not d.of_role(seen, "redis")
    files = d.uploads(seen, "gateway-1")
    assert files["/run/veloz/postgres_dsn"] == d.secret_values(spec)["postgres_dsn"]
    assert files["/run/veloz/redis_url"] == d.secret_values(spec)["redis_url"]


def test_a_wrong_description_is_refused_in_words_with_nothing_declared() -> None:
    config = configured({"veloz:deployment": {"topology": "compose", "gateways": {"replicas": 0}}}, {})
    with pytest.raises(pulumi.RunError, match=r"gateways\.replicas = 0"):
        record(config=config)


def test_a_missing_secret_is_refused_by_name() -> None:
    values = d.secret_values(COMPOSE)
    del values["redis_password"]
    with pytest.raises(pulumi.RunError, match=r"redis_password: is missing"):
        declare(COMPOSE, values)
