"""The volumes of a deployment that hold data: they outlive what Pulumi knows of it."""

from __future__ import annotations

from collections.abc import Collection, Mapping

from stacks import names
from stacks.commands import docker_facts
from stacks.commands.failures import Failure
from stacks.spec import Deployment


def data(spec: Deployment, environ: Mapping[str, str]) -> list[str]:
    """Their names, those of stores too that the description has no more, and another stack's of this name. Raises Failure."""
    return sorted(_with(spec, environ))


def remove(spec: Deployment, environ: Mapping[str, str], volumes: Collection[str]) -> list[str]:
    """Those of them that are there; returns their names. Raises Failure for the first that stays."""
    return sorted(_with(spec, environ, volumes))


def _with(spec: Deployment, environ: Mapping[str, str], removed: Collection[str] | None = None) -> list[str]:
    from docker.errors import DockerException  # noqa: PLC0415 - slow to load
    from requests.exceptions import RequestException  # noqa: PLC0415 - what docker lets through

    label = f"{docker_facts.LABEL}={spec.name}"
    try:
        with docker_facts.daemon(spec, environ) as client:
            listed = client.volumes.list(filters={"label": label})
            found = {str(one.name): one for one in listed if names.holds_data(spec, str(one.name))}
            if removed is not None:
                found = {name: one for name, one in found.items() if name in removed}
                for one in found.values():
                    one.remove()
    except (DockerException, RequestException, OSError) as error:
        doing = "does not list" if removed is None else "cannot delete"
        raise Failure(f"The Docker daemon {doing} the volumes of {spec.name}: {docker_facts.reason(error)}.") from error
    return list(found)
