"""How the containers of a deployment stand, by the word of their daemon."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Final

from stacks import names, watched
from stacks.commands import docker_facts
from stacks.commands.failures import Failure
from stacks.commands.standing import Part, State
from stacks.spec import Deployment, Role

_LOG_LINES: Final = 2000
_HEALTH: Final[Mapping[str, State]] = {"healthy": "well", "starting": "starting", "unhealthy": "unwell"}


def wanted(spec: Deployment) -> dict[str, Role]:
    """Container → role, of all that run; gateways in the order in which they are replaced."""
    found: dict[str, Role] = {}
    for role in spec.roles:
        if role == "gateway" and spec.topology == "compose":
            every = range(1, spec.replicas(role) + 1)
            found |= {names.container(spec, names.gateway_id(replica)): role for replica in every}
        else:
            found[names.container(spec, role)] = role
    return found


def read(spec: Deployment, environ: Mapping[str, str]) -> list[Part]:
    """Those of them that are there, in that order. Raises Failure when the daemon does not answer."""
    from docker.errors import DockerException, NotFound  # noqa: PLC0415 - slow to load
    from requests.exceptions import RequestException  # noqa: PLC0415 - what docker lets through

    parts = []
    try:
        with docker_facts.daemon(spec, environ) as client:
            now = _time(client.info()["SystemTime"])
            for name, role in wanted(spec).items():
                try:
                    parts.append(_part(client.containers.get(name), name, role, now))
                except NotFound:
                    continue
    except (DockerException, RequestException, OSError) as error:
        raise Failure(
            f"The Docker daemon does not say how the containers stand: {docker_facts.reason(error)}."
        ) from error
    return parts


def _part(container: Any, name: str, role: Role, now: datetime) -> Part:  # noqa: ANN401 - its types are not published
    state: Mapping[str, Any] = container.attrs["State"]
    restarts = int(container.attrs.get("RestartCount") or 0)
    if state.get("Status") != "running":
        why = f"{state.get('Status')}, exit status {state.get('ExitCode')}"
        return Part(name, role, "down", why + (", out of memory" if state.get("OOMKilled") else ""), restarts)
    health: Mapping[str, Any] = state.get("Health") or {}
    stands = _HEALTH.get(str(health.get("Status")), "well")
    why = _last_words(health) if stands == "unwell" else ""
    said = None
    if role == "balancer":
        said = watched.last(container.logs(tail=_LOG_LINES).decode(errors="replace"))
    return Part(name, role, stands, why, restarts, (now - _time(state["StartedAt"])).total_seconds(), said)


def _last_words(health: Mapping[str, Any]) -> str:
    """What the last check printed, its last line."""
    looks = health.get("Log") or [{}]
    lines = str(looks[-1].get("Output") or "").strip().splitlines()
    return lines[-1][:200] if lines else ""


def _time(said: str) -> datetime:
    """Docker writes nanoseconds, and a zone's name or its offset."""
    return datetime.fromisoformat(said)
