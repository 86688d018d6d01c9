"""Pods of somebody else's namespace, which reach what everybody reaches, and say whether the network keeps policies."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from stacks import ports
from tests.e2e import cluster_host, network_of
from tests.e2e.cluster_host import Pod, any_process, kubectl

OPEN, WALLED = "open", "walled"
# As long as a network's own controller may take to notice a new pod and its policy.
_ENFORCED_SECONDS = 20.0


@contextmanager
def strangers(namespace: str, redis: str) -> Iterator[dict[str, Pod]]:
    """Two pods that listen on Redis's port; a policy says that nobody may speak to the second."""
    kubectl("create", "namespace", namespace)
    try:
        kubectl("apply", "--filename", "-", given="\n---\n".join(map(json.dumps, _objects(namespace, redis))))
        kubectl("wait", "--for=condition=Ready", "pod", "--all", "--namespace", namespace, "--timeout=60s")
        yield {pod.name: pod for pod in cluster_host.pods(namespace)}
    finally:
        kubectl("delete", "namespace", namespace, "--timeout=120s", seconds=150)


def policies_are_enforced(there: dict[str, Pod]) -> bool:
    """Whether the pod that nobody may speak to cannot be spoken to, after a moment at most."""
    wall = [(address, ports.REDIS) for address in there[WALLED].addresses]
    ends = time.monotonic() + _ENFORCED_SECONDS
    while network_of.reached(any_process(there[OPEN]), wall):
        if time.monotonic() > ends:
            return False
        time.sleep(0.5)
    return True


def _objects(namespace: str, redis: str) -> Iterator[dict[str, Any]]:
    for name in (OPEN, WALLED):
        container = {
            "name": "redis",
            "image": redis,
            "imagePullPolicy": "IfNotPresent",
            "command": ["redis-server", "--port", str(ports.REDIS), "--bind", "*", "-::*", "--protected-mode", "no"],
            "readinessProbe": {"tcpSocket": {"port": ports.REDIS}, "periodSeconds": 1},
        }
        yield {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": namespace, "labels": {"name": name}},
            "spec": {"terminationGracePeriodSeconds": 0, "containers": [container]},
        }
    yield {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": WALLED, "namespace": namespace},
        "spec": {"podSelector": {"matchLabels": {"name": WALLED}}, "policyTypes": ["Ingress"]},
    }
