"""A stack file becomes a description, or everything that is wrong with it is said at once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec
import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from stacks.document import CONFIG_KEY, STACKS, load, read_stack
from stacks.refusals import Refusal, SpecError
from stacks.spec import Deployment, Edge, Gateways, Monitoring, Postgres, Redis, Tls
from tests.stacks.strategies import deployments, documents


def refusals(document: dict[str, Any]) -> dict[str, str]:
    with pytest.raises(SpecError) as refused:
        load(document)
    return {refusal.path: str(refusal) for refusal in refused.value.refusals}


@pytest.mark.parametrize("topology", ["single", "compose", "kubernetes"])
def test_an_example_is_a_description_of_its_topology(topology: str) -> None:
    spec = read_stack(STACKS / f"Pulumi.{topology}.yaml")
    assert spec.topology == topology
    assert spec.gateways.replicas == (1 if topology == "single" else 3)


def test_an_example_holds_no_secret() -> None:
    for path in STACKS.glob("Pulumi.*.yaml"):
        document = yaml.safe_load(path.read_text())
        assert set(document) == {"config"}
        assert set(document["config"]) == {CONFIG_KEY}


def test_the_smallest_description_of_single_has_what_is_usual_there() -> None:
    assert load({"topology": "single"}) == Deployment(
        topology="single",
        gateways=Gateways(replicas=1),
        edge=Edge(http_port=8080, tls=Tls(source="none")),
        postgres=Postgres(store="embedded"),
        redis=Redis(store="embedded"),
        monitoring=Monitoring(prometheus=False, grafana=False),
    )


def test_the_smallest_description_of_compose_has_the_models_defaults() -> None:
    assert load({"topology": "compose"}) == Deployment(topology="compose")


def test_what_is_given_stands_above_what_is_usual() -> None:
    spec = load(
        {"topology": "kubernetes", "edge": {"hostname": "a.b", "kind": "nginx"}, "images": {"nginx": "nginx:1.29"}}
    )
    assert (spec.edge.kind, spec.edge.hostname, spec.edge.tls.source) == ("nginx", "a.b", "generated")


@given(deployments())
def test_a_description_written_out_in_full_is_the_same(spec: Deployment) -> None:
    text = yaml.safe_dump({"config": {CONFIG_KEY: msgspec.to_builtins(spec)}})
    assert load(text) == spec


@given(documents())
def test_text_and_mapping_say_the_same(document: dict[str, Any]) -> None:
    assert load(yaml.safe_dump({"config": {CONFIG_KEY: document}})) == load(document)


def test_every_wrong_field_is_named_with_its_rule_and_a_remedy() -> None:
    found = refusals(
        {
            "edg": {},
            "name": "Veloz",
            "sizes": {"foo": {}, "gateway": {"cpu": 1}, "redis": 3},
            "gateways": {"replicas": "3", "egress": 1, "settings": {"log_level": None}},
            "hosts": {
                "machines": [{"address": "a", "rolls": []}, {"address": "b", "roles": ["x"]}, 3],
                "huge_pages": -1,
            },
            "edge": {"kind": "traefik", "proxies": "10.0.0.0/8", "tls": {"sauce": "none"}},
            "limits": {"sysctls": {"a": "1", "net.x": "y"}},
            "docker": {"capacity": {"cpu": 1000}},
        }
    )
    assert found == {
        "edg": "edg = {}: there is no such field; did you mean edge?",
        "topology": "topology: is required; it must be one of compose, kubernetes, single",
        "name": r"name = Veloz: must match ^[a-z]([a-z0-9-]{0,38}[a-z0-9])?\Z; correct it, or leave it out",
        "sizes.foo": (
            "sizes.foo: its name must be one of balancer, engine, gateway, grafana, postgres, prometheus, redis; "
            "correct it, or remove it"
        ),
        "sizes.gateway.cpu": (
            "sizes.gateway.cpu = 1: must be a whole number, at least 50 and at most 256000; correct it, or leave it out"
        ),
        "sizes.redis": "sizes.redis = 3: must be a mapping of names to values; correct it",
        "gateways.replicas": (
            "gateways.replicas = 3: must be a whole number, at least 1 and at most 50; correct it, or leave it out"
        ),
        "hosts.machines[0].rolls": "hosts.machines[0].rolls = []: there is no such field; did you mean roles?",
        "hosts.machines[1].roles": (
            "hosts.machines[1].roles = ['x']: must be a list in which each entry must be one of balancer, engine, gateway, "
            "monitoring, postgres, redis; correct it, or leave it out"
        ),
        "hosts.machines[2]": "hosts.machines[2] = 3: must be a mapping of names to values; correct it",
        "hosts.huge_pages": (
            "hosts.huge_pages = -1: must be a whole number, at least 0 and at most 1048576; correct it, or leave it out"
        ),
        "gateways.egress": "gateways.egress = 1: must be true or false; correct it, or leave it out",
        "gateways.settings.log_level": (
            "gateways.settings.log_level: must be text, or a whole number, or a number, or true or false, "
            "or a list in which each entry must be text; correct it, or leave it out"
        ),
        "edge.kind": "edge.kind = traefik: must be one of haproxy, ingress, nginx; correct it, or leave it out",
        "edge.proxies": (
            r"edge.proxies = 10.0.0.0/8: must be a list in which each entry must match ^[0-9A-Fa-f.:]{2,45}/[0-9]{1,3}\Z; "
            "correct it, or leave it out"
        ),
        "edge.tls.sauce": "edge.tls.sauce = none: there is no such field; did you mean source?",
        "limits.sysctls.a": (
            r"limits.sysctls.a: its name must match ^(net|kernel|fs)(\.[a-z0-9_]+)+\Z; correct it, or remove it"
        ),
        "limits.sysctls.net.x": (
            r"limits.sysctls.net.x = y: must match ^[0-9]+( [0-9]+)*\Z; correct it, or leave it out"
        ),
        "docker.capacity.memory": (
            "docker.capacity.memory: is required; it must be a whole number, at least 32 and at most 67108864"
        ),
    }


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("", f"config.{CONFIG_KEY}: must be a mapping with at least `topology`"),
        ("config: 3", "must be a mapping with at least `topology`"),
        ("config:\n  veloz:deployment: compose\n", f"config.{CONFIG_KEY} = compose: must be a mapping"),
        ("config: [", "(the stack file): is not YAML"),
        ("a: b: c", "is not YAML: mapping values are not allowed here in line 1"),
        (
            "config:\n  veloz:deployment:\n    topology: single\n    topology: compose\n",
            "topology stands there twice in line 4",
        ),
        ("config:\n  ? [a]\n  : 1\n", "is not YAML"),
        ("\x00", "is not YAML"),
        ("config: !!python/object:os.system {}", "is not YAML"),
    ],
)
def test_a_file_that_says_nothing_is_refused_in_words(text: str, words: str) -> None:
    with pytest.raises(SpecError) as refused:
        load(text)
    assert words in str(refused.value)


@pytest.mark.parametrize("word", ["yes", "no", "on", "Off"])
def test_only_true_and_false_are_truths_as_for_pulumi(word: str) -> None:
    text = f"config:\n  veloz:deployment:\n    topology: compose\n    monitoring: {{grafana: {word}}}\n"
    with pytest.raises(SpecError, match=f"monitoring.grafana = {word}: must be true or false"):
        load(text)


def test_a_file_that_is_not_there_is_refused_in_words(tmp_path: Path) -> None:
    with pytest.raises(SpecError, match="cannot be read: No such file or directory; run `make init"):
        read_stack(tmp_path / "Pulumi.none.yaml")
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(SpecError, match="it is not UTF-8"):
        read_stack(tmp_path / "binary")


@pytest.mark.parametrize("source", [None, [], 3])
def test_a_configuration_that_is_no_mapping_is_refused_in_words(source: Any) -> None:  # noqa: ANN401 - whatever it is
    with pytest.raises(SpecError, match="must be a mapping with at least `topology`"):
        load(source)


def test_a_topology_that_is_no_text_is_refused_in_words() -> None:
    assert "must be one of" in refusals({"topology": ["single"]})["topology"]


scalars = st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=8)
anything = st.recursive(
    scalars,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8) | st.integers(), inner, max_size=3),
    max_leaves=6,
)


@given(documents(), st.data())
def test_whatever_a_field_holds_it_is_taken_or_refused(document: dict[str, Any], data: st.DataObject) -> None:
    section = data.draw(st.sampled_from(sorted(Deployment.__struct_fields__)))
    within = document.get(section)
    if isinstance(within, dict) and data.draw(st.booleans()):
        known = getattr(Deployment(topology="single"), section)
        names = sorted(getattr(known, "__struct_fields__", ["gateway"]))
        document[section] = within | {data.draw(st.sampled_from(names)): data.draw(anything)}
    else:
        document[section] = data.draw(anything)
    for refusal in refused(document):
        assert refusal.path
        assert refusal.rule
        assert refusal.remedy


def refused(document: dict[str, Any]) -> tuple[Refusal, ...]:
    try:
        load(document)
    except SpecError as error:
        if not error.refusals:
            pytest.fail("refused without a word")
        return error.refusals
    return ()
