"""Whether a stack is still on the Docker host or cluster that its last release went to."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from stacks.commands import releases, targets
from stacks.commands.failures import Failure
from stacks.commands.releases import Release
from stacks.commands.targets import Target
from stacks.document import load

CLUSTER = load({"topology": "kubernetes", "edge": {"hostname": "veloz.example.com"}})
HERE = {"namespace": "1", "authority": "a"}


def released(target: dict[str, str], outcome: releases.Outcome = "good") -> list[Release]:
    begun = releases.begin([], {}, schema=1, commit="")
    return [msgspec.structs.replace(begun, target=target).ended(outcome)]


@pytest.mark.parametrize(
    ("recorded", "found", "differs"),
    [
        (HERE, HERE, ""),
        (HERE, {"namespace": "2", "authority": "a"}, "the namespace differs"),
        (HERE, {"namespace": "1", "authority": "renewed"}, ""),
        (HERE, {"authority": "a"}, ""),  # not everybody may read the namespace
        (HERE, {"authority": "b"}, "the authority differs"),
        (HERE, {"daemon": "1"}, "it cannot be told whether they are the same"),
        ({"daemon": "", "place": "x"}, {"daemon": "1", "place": "x"}, ""),
    ],
)
def test_what_both_have_decides(recorded: dict[str, str], found: dict[str, str], differs: str) -> None:
    assert targets.differ(recorded, found) == differs


def test_a_deployment_that_is_elsewhere_is_refused_with_both_and_the_ways() -> None:
    with pytest.raises(Failure) as refused:
        targets.check("live", released(HERE), Target("cluster of context b", {"namespace": "2"}))
    said = str(refused.value)
    assert (
        "its release 1 went to namespace 1, and the cluster of context b is namespace 2; the namespace differs" in said
    )
    assert said.endswith("make up STACK=live ARGS=--target-changed")


@pytest.mark.parametrize("known", [[], released({}), released(HERE, "destroyed")])
def test_one_that_is_nowhere_or_nobody_knows_where_goes_anywhere(known: list[Release]) -> None:
    targets.check("live", known, Target("x", {"namespace": "2"}))


@pytest.mark.parametrize("outcome", ["begun", "failed"])
def test_a_release_that_did_not_come_to_its_end_may_have_left_something(outcome: releases.Outcome) -> None:
    with pytest.raises(Failure, match="its release 1 went to"):
        targets.check("live", released(HERE, outcome), Target("x", {"namespace": "2"}))


def test_a_target_that_does_not_answer_is_silent(
    tmp_path: Path, free_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    one = {"cluster": {"server": f"http://127.0.0.1:{free_port}"}}
    config = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "other",
        "contexts": [{"name": "other", "context": {"cluster": "x", "user": "x"}}],
        "clusters": [{"name": "x", **one}],
        "users": [{"name": "x", "user": {}}],
    }
    (tmp_path / "config").write_bytes(msgspec.json.encode(config))
    monkeypatch.setattr("kubernetes.config.kube_config.KUBE_CONFIG_DEFAULT_LOCATION", str(tmp_path / "config"))
    with pytest.raises(targets.Silent, match="The cluster of other does not say who it is"):
        targets.read(CLUSTER, {})
    single = load({"topology": "single", "docker": {"host": f"unix://{tmp_path}/none"}})
    with pytest.raises(targets.Silent, match="does not say who it is: No such file or directory"):
        targets.read(single, {})


@pytest.mark.parametrize(("change", "field"), [({"name": "other"}, "name"), ({"topology": "single"}, "topology")])
def test_another_name_or_topology_would_begin_with_empty_stores(change: dict[str, str], field: str) -> None:
    released = [releases.begin([], {"topology": "compose"}, schema=1, commit="").ended("good")]
    targets.check_name("live", released, load({"topology": "compose"}))
    changed = load({"topology": "compose"} | change)
    with pytest.raises(Failure, match=rf"^{field} = {change[field]}: release 1 of stack live has {field} "):
        targets.check_name("live", released, changed)
    targets.check_name("live", [*released, released[0].ended("destroyed")], changed)
