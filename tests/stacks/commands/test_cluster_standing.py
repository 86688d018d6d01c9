"""What a cluster says of workloads and pods, in the words of standing.py: documents as its API gives them."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from types import SimpleNamespace
from typing import Any

import pytest
from kubernetes.client import ApiClient

from stacks.commands import cluster_standing
from stacks.commands.standing import Part
from stacks.document import load
from stacks.watched import Said

NOW = datetime(2026, 1, 1, tzinfo=UTC)
STARTED = (NOW - timedelta(seconds=5)).isoformat()
SUM = "c" * 64


def made(kind: str, document: dict[str, Any]) -> Any:  # noqa: ANN401 - of the client's own types
    """As the client makes it of an answer."""
    client: Any = ApiClient()
    return client.deserialize(SimpleNamespace(data=json.dumps(document)), kind)


def part(ready: str, *, log: str = "", **container: Any) -> Part:  # noqa: ANN401
    status = {"name": "x", "image": "x", "imageID": "x", "ready": ready == "True", "restartCount": 0, **container}
    conditions = [{"type": "Ready", "status": ready}]
    document = {
        "metadata": {"name": "pod"},
        "status": {"phase": "Running", "conditions": conditions, "containerStatuses": [status]},
    }
    return cluster_standing.part(made("V1Pod", document), "gateway", log, NOW)


def workload(**status: int) -> Part:
    labels = {"a": "b"}
    document = {
        "metadata": {"name": "veloz-gateway", "generation": 4},
        "spec": {"replicas": 3, "selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}}},
        "status": status,
    }
    return cluster_standing.workload(made("V1Deployment", document), "gateway")


def test_a_workload_is_well_when_all_of_its_replicas_are_new_and_ready() -> None:
    done = {"observedGeneration": 4, "replicas": 3, "readyReplicas": 3, "updatedReplicas": 3}
    assert workload(**done) == Part("veloz-gateway", "gateway", "well")


@pytest.mark.parametrize(
    "change", [{"observedGeneration": 3}, {"readyReplicas": 2}, {"updatedReplicas": 1}, {"replicas": 4}]
)
def test_a_workload_under_way_says_how_far_it_is(change: dict[str, int]) -> None:
    done = {"observedGeneration": 4, "replicas": 3, "readyReplicas": 3, "updatedReplicas": 3}
    found = workload(**(done | change))
    assert found.state == "starting"
    assert "of 3 replicas are of the newest template" in found.why


def test_a_running_pod_is_what_its_probes_say() -> None:
    running = {"running": {"startedAt": STARTED}}
    assert part("True", started=True, state=running) == Part("pod", "gateway", "well", age=5.0)
    assert part("False", started=True, state=running).state == "unwell"
    assert part("False", started=False, state=running).state == "starting"


def test_a_pod_that_ends_again_and_again_says_how() -> None:
    ended = {"terminated": {"exitCode": 137, "reason": "OOMKilled"}}
    waiting = {"waiting": {"reason": "CrashLoopBackOff"}}
    found = part("False", state=waiting, lastState=ended, restartCount=7)
    why = "CrashLoopBackOff; it ended with exit status 137, OOMKilled"
    assert found == Part("pod", "gateway", "down", why, restarts=7)


def test_a_balancers_last_word_is_its_logs() -> None:
    log = f"watch: runs {'a' * 64}\nsomething\nwatch: refuses {SUM}\n"
    found = part("True", log=log, started=True, state={"running": {"startedAt": STARTED}})
    assert found.said == Said("refuses", SUM)


def test_a_pod_that_ended_for_good_counts_no_more_than_its_workload_says() -> None:
    """An evicted one stays as a record, with or without containers."""
    gone = {"metadata": {"name": "gone"}, "status": {"phase": "Failed", "reason": "Evicted"}}
    there = {
        "metadata": {"name": "there"},
        "status": {"phase": "Pending"},
    }
    pods = [made("V1Pod", one) for one in (gone, there)]
    nothing = SimpleNamespace(items=[])
    apps = SimpleNamespace(
        list_namespaced_deployment=lambda **_: nothing, list_namespaced_stateful_set=lambda **_: nothing
    )
    core = SimpleNamespace(list_namespaced_pod=lambda **_: SimpleNamespace(items=pods))
    spec = load({"topology": "kubernetes", "edge": {"hostname": "a.test"}})
    assert [it.name for it in cluster_standing._of(spec, "gateway", apps, core)] == ["there"]
