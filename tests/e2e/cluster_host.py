"""The cluster that kubectl speaks to, asked by kubectl alone; and processes of pods that run on this machine."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any, NamedTuple

ROLE = "app.kubernetes.io/component"


class Pod(NamedTuple):
    name: str
    role: str
    address: str
    ready: bool
    restarts: int
    identity: str
    addresses: tuple[str, ...]  # the one above is the first; of a network of both families, the other is the second


def kubectl(*arguments: str, given: str = "", seconds: float = 120) -> str:
    """Raises AssertionError with what it says."""
    done = run(*arguments, given=given, seconds=seconds)
    assert done.returncode == 0, f"kubectl {' '.join(arguments[:4])}: {done.stderr.strip()}"
    return done.stdout


def run(*arguments: str, given: str = "", seconds: float = 120) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        ["kubectl", *arguments], input=given, capture_output=True, text=True, timeout=seconds, check=False
    )


def found(kind: str, namespace: str) -> list[dict[str, Any]]:
    return list(json.loads(kubectl("get", kind, "--namespace", namespace, "--output", "json"))["items"])


def pods(namespace: str, role: str = "") -> list[Pod]:
    """Those that are not on their way out."""
    made = []
    for it in found("pods", namespace):
        status, of = it["status"], it["metadata"]["labels"].get(ROLE, "")
        if "deletionTimestamp" in it["metadata"] or (role and of != role):
            continue
        ready = any(each["type"] == "Ready" and each["status"] == "True" for each in status.get("conditions", ()))
        restarts = sum(each["restartCount"] for each in status.get("containerStatuses", ()))
        addresses = tuple(each["ip"] for each in status.get("podIPs", ()))
        made.append(
            Pod(it["metadata"]["name"], of, status.get("podIP", ""), ready, restarts, it["metadata"]["uid"], addresses)
        )
    return sorted(made)


def images() -> set[str]:
    """Those on nodes, as Docker calls them."""
    nodes = json.loads(kubectl("get", "nodes", "--output", "json"))["items"]
    listed = (name for node in nodes for each in node["status"].get("images", ()) for name in each["names"])
    return {_short(name) for name in listed}


def _short(name: str) -> str:
    """Without the default registry, which the cluster writes out."""
    registry, slash, rest = name.partition("/")
    return rest.removeprefix("library/") if slash and "." in registry else name


def nudge(namespace: str, role: str) -> None:
    """A kubelet looks into volumes again when a pod changes; by itself it does so within a minute or two."""
    for pod in pods(namespace, role):
        kubectl("annotate", "pod", pod.name, "--namespace", namespace, "--overwrite", "io.veloz.test/nudge=" + _stamp())


_count = 0


def _stamp() -> str:
    global _count  # noqa: PLW0603
    _count += 1
    return str(_count)


def process(pod: Pod) -> int:
    """A gateway's own process on this machine, by the name that its pod gave it; needs root."""
    mark = f"POD_NAME={pod.name}".encode()
    owned = [path for path in Path("/proc").glob("[0-9]*") if mark in _read(path / "environ").split(b"\0")]
    (first,) = [path for path in owned if b"gateway" in _read(path / "cmdline").split(b"\0")]
    return int(first.name)


def any_process(pod: Pod) -> int:
    """One of those that a pod has on this machine: all see the same network. Their control group bears its name."""
    marks = [pod.identity.encode(), pod.identity.replace("-", "_").encode()]
    for path in Path("/proc").glob("[0-9]*"):
        groups = _read(path / "cgroup")
        if any(mark in groups for mark in marks):
            return int(path.name)
    raise AssertionError(f"no process of pod {pod.name} is on this machine")


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError:  # it has ended, or is the kernel's
        return b""
