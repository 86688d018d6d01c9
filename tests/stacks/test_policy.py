"""Every rule has resources that it lets through and changes that it refuses; both are in data/policy.yaml."""

from __future__ import annotations

import copy
from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml

from stacks import names
from stacks.policy import RULES, STACK_RULES, Resource, check, given
from stacks.rules.model import SIGNATURE, UNKNOWN
from stacks.spec import Deployment, Edge

DATA: dict[str, Any] = yaml.safe_load((Path(__file__).parent / "data" / "policy.yaml").read_text())
IDS = [*(rule.id for rule in RULES), *(rule.id for rule in STACK_RULES)]
SECRET_VALUE = "known-secret-value"  # noqa: S105
COMPOSE = msgspec.structs.replace(
    given(Deployment(topology="compose", edge=Edge(address="127.0.0.1")), {SECRET_VALUE, "short"}),
    ingress=names.GATEWAY_HTTP,
)
CASES = [
    pytest.param(rule, case, id=f"{rule}-{n}") for rule, cases in DATA["cases"].items() for n, case in enumerate(cases)
]


def resources(changed: dict[str, Any] | None = None) -> list[Resource]:
    """Those of the file, one of them changed."""
    documents = copy.deepcopy(DATA["resources"])
    if changed:
        one = documents[changed["in"]]
        one["type"] = changed.get("type", one["type"])
        if "at" in changed:
            _change(one["inputs"], changed["at"], changed["to"])
    return [Resource(one["type"], name, one["inputs"]) for name, one in documents.items()]


def _change(document: Any, path: list[Any], value: Any) -> None:  # noqa: ANN401 - any document
    *way, last = path
    for key in way:
        document = document[key]
    if isinstance(document, list):
        document[last] = value
    elif value is None:
        del document[last]
    else:
        document[last] = value


def test_resources_that_meet_every_rule_are_let_through() -> None:
    assert check(resources(), COMPOSE) == []


@pytest.mark.parametrize(("rule", "case"), CASES)
def test_the_rule_refuses_the_change_and_no_other_rule_does(rule: str, case: dict[str, Any]) -> None:
    found = check(resources(case), COMPOSE)
    assert {violation.rule for violation in found} == {rule, *case.get("also", ())}
    assert any(case["says"] in violation.what for violation in found)
    assert all(violation.remedy.endswith((".", "…")) for violation in found)


def test_an_ingress_that_nobody_described_is_refused() -> None:
    without = msgspec.structs.replace(COMPOSE, ingress="")
    assert [(one.rule, one.resource) for one in check(resources(), without)] == [("k8s-ingress", "ingress")]


def test_every_rule_has_a_refused_change() -> None:
    assert set(DATA["cases"]) == set(IDS)


def test_rules_have_different_names() -> None:
    assert len(set(IDS)) == len(IDS)


@pytest.mark.parametrize("hidden", [UNKNOWN, "[secret]", {SIGNATURE: "1b47061264138c4ac30d75fd1eb44270", "value": "x"}])
def test_what_is_not_known_yet_or_encrypted_is_not_judged(hidden: object) -> None:
    changed = {"in": "container", "at": ["uploads", 0, "content"], "to": hidden}
    assert check(resources(changed), COMPOSE) == []
    assert check(resources({"in": "container", "at": ["image"], "to": UNKNOWN}), COMPOSE) == []


def test_where_secrets_are_not_marked_the_state_is_not_judged() -> None:
    case = {"in": "secret", "at": ["stringData", "x"], "to": SECRET_VALUE}
    unmarked = msgspec.structs.replace(COMPOSE, marked=False)
    assert {violation.rule for violation in check(resources(case), COMPOSE)} == {"secret-object", "secret-state"}
    assert check(resources(case), unmarked) == []


def test_the_one_container_of_single_may_publish() -> None:
    single = given(Deployment(topology="single", edge=Edge(http_port=8080)))
    inputs = copy.deepcopy(DATA["resources"]["container"]["inputs"])
    inputs["labels"][1]["value"] = "gateway"
    inputs["ports"][0]["external"] = 8080
    assert check([Resource("docker:index/container:Container", "veloz", inputs)], single) == []


def test_no_secret_is_in_what_a_person_may_see() -> None:
    assert SECRET_VALUE not in repr(COMPOSE)
    case = {"in": "container", "at": ["command"], "to": [SECRET_VALUE]}
    assert SECRET_VALUE not in "".join(map(str, check(resources(case), COMPOSE)))
