"""How the workloads and pods of a deployment stand, by the word of their cluster."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any, Final

from stacks import names, watched
from stacks.commands import cluster_facts
from stacks.commands.docker_facts import reason
from stacks.commands.failures import Failure
from stacks.commands.standing import Part, State
from stacks.spec import Deployment, Role

_SECONDS: Final = 8
_LOG_LINES: Final = 2000
_ENDED: Final = frozenset({"Failed", "Succeeded"})


def wanted(spec: Deployment) -> tuple[str, ...]:
    return tuple(names.object_name(role) for role in spec.roles)


def read(spec: Deployment) -> list[Part]:
    """Workloads, then their pods but for those that are going. Raises Failure when the API does not answer."""
    from kubernetes.client import ApiException, AppsV1Api, CoreV1Api  # noqa: PLC0415 - slow to load
    from kubernetes.config import ConfigException  # noqa: PLC0415
    from urllib3.exceptions import HTTPError  # noqa: PLC0415

    try:
        with cluster_facts.api(spec) as client:
            apps: Any = AppsV1Api(client)
            core: Any = CoreV1Api(client)
            return [part for role in spec.roles for part in _of(spec, role, apps, core)]
    except ApiException as error:
        said = f"the API says {error.status} {error.reason}"
        raise Failure(f"The cluster does not say how the pods stand: {said}.") from error
    except (ConfigException, HTTPError, OSError) as error:
        raise Failure(f"The cluster does not say how the pods stand: {reason(error)}.") from error


def _of(spec: Deployment, role: Role, apps: Any, core: Any) -> Iterator[Part]:  # noqa: ANN401 - their types lack half of it
    where: dict[str, Any] = {
        "namespace": spec.name,
        "label_selector": ",".join(f"{key}={value}" for key, value in names.selector(spec, role).items()),
        "_request_timeout": _SECONDS,
    }
    for one in (*apps.list_namespaced_deployment(**where).items, *apps.list_namespaced_stateful_set(**where).items):
        yield workload(one, role)
    for pod in core.list_namespaced_pod(**where).items:
        # One that was evicted, or whose node went, stays as a record; its workload has made another.
        if pod.metadata.deletion_timestamp is None and pod.status.phase not in _ENDED:
            log = ""
            if role == "balancer" and _ready(pod):
                log = _log(core, pod)
            yield part(pod, role, log, datetime.now(UTC))


def _log(core: Any, pod: Any) -> str:  # noqa: ANN401
    """Raw: what the client makes of it is the text of a Python literal."""
    where: dict[str, Any] = {"name": pod.metadata.name, "namespace": pod.metadata.namespace}
    answer = core.read_namespaced_pod_log(
        **where, tail_lines=_LOG_LINES, _request_timeout=_SECONDS, _preload_content=False
    )
    return bytes(answer.data).decode(errors="replace")


def workload(one: Any, role: Role) -> Part:  # noqa: ANN401 - a Deployment's or a StatefulSet's
    """Well when all of its replicas are of the newest template and ready."""
    want, status = one.spec.replicas or 0, one.status
    ready, updated = status.ready_replicas or 0, status.updated_replicas or 0
    seen = (status.observed_generation or 0) >= one.metadata.generation
    there = status.replicas or 0
    done = seen and ready == updated == there == want
    why = f"{updated} of {want} replicas are of the newest template, {ready} of {there} ready"
    return Part(one.metadata.name, role, "well" if done else "starting", "" if done else why)


def part(pod: Any, role: Role, log: str, now: datetime) -> Part:  # noqa: ANN401
    container = (pod.status.container_statuses or [None])[0]
    name = pod.metadata.name
    if container is None:
        return Part(name, role, "starting", f"its node has not taken it up; {pod.status.phase}")
    state = container.state
    restarts = int(container.restart_count or 0)
    if state.running is None:
        paused = state.waiting or state.terminated
        ended = container.last_state.terminated if container.last_state else None
        why = (paused.reason or "waiting") if paused else "waiting"
        if ended is not None:
            why += f"; it ended with exit status {ended.exit_code}, {ended.reason}"
        return Part(name, role, "down", why, restarts)
    stands: State = "well" if _ready(pod) else "unwell" if container.started else "starting"
    age = (now - state.running.started_at).total_seconds()
    return Part(name, role, stands, "", restarts, age, watched.last(log))


def _ready(pod: Any) -> bool:  # noqa: ANN401
    return any(one.type == "Ready" and one.status == "True" for one in pod.status.conditions or ())
