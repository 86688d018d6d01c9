"""What an update may not take down: the last gateway, or all of a network."""

from __future__ import annotations

import pytest

from stacks.commands import holding
from stacks.commands.changes import Steps
from stacks.commands.failures import Failure
from stacks.commands.stack import Previewed
from stacks.commands.standing import Part
from stacks.document import load

COMPOSE = load({"topology": "compose"})
WELL = [Part(f"veloz-gateway-{replica}", "gateway", "well") for replica in (1, 2, 3)]
GATEWAYS = frozenset(f"gateway-{replica}" for replica in (1, 2, 3))


def previewed(*, replaced: frozenset[str] = frozenset(), networks: frozenset[str] = frozenset()) -> Previewed:
    return Previewed((), (), 9, replaced=replaced, networks=networks)


def test_gateways_that_go_one_after_the_other_are_no_outage() -> None:
    holding.check(COMPOSE, WELL, previewed(replaced=GATEWAYS), "prod")


def test_a_network_that_is_made_anew_takes_all_of_them_at_once() -> None:
    """Pulumi deletes first what uses the network."""
    with pytest.raises(Failure, match=r"^network-app, network-data: made anew") as refused:
        holding.check(
            COMPOSE, WELL, previewed(replaced=GATEWAYS, networks=frozenset({"network-data", "network-app"})), "prod"
        )
    assert str(refused.value).endswith("make up STACK=prod ARGS=--interrupt")


def test_what_is_not_there_yet_is_not_interrupted() -> None:
    holding.check(COMPOSE, [], previewed(networks=frozenset({"network-app"})), "prod")


def test_a_rollback_is_told_how_to_go_on_as_one() -> None:
    chain = [WELL[0], Part("veloz-gateway-2", "gateway", "down"), Part("veloz-gateway-3", "gateway", "down")]
    with pytest.raises(Failure, match="veloz-gateway-1 is the only gateway that serves") as refused:
        holding.check(COMPOSE, chain, previewed(replaced=GATEWAYS), "prod", "rollback")
    assert str(refused.value).endswith("make rollback STACK=prod ARGS=--interrupt")


@pytest.mark.parametrize(("op", "found"), [("replace", True), ("create-replacement", True), ("update", False)])
def test_networks_are_found_by_what_a_preview_does_with_them(op: str, found: bool) -> None:  # noqa: FBT001
    kind = "docker:index/network:Network"
    step = {"op": op, "urn": f"urn:pulumi:a::veloz::{kind}::network-app", "newState": {"type": kind}}
    assert Steps.of({"steps": [step]}).replaced_networks() == (frozenset({"network-app"}) if found else frozenset())
