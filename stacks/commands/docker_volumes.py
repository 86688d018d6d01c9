"""The volumes of a deployment that hold data: they outlive what Pulumi knows of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stacks import names
from stacks.commands import docker_facts
from stacks.commands.failures import Failure
from stacks.spec import Deployment


def data(spec: Deployment, environ: Mapping[str, str]) -> list[str]:
    """Their names, those of stores too that the description has no more. Raises Failure."""
    return sorted(one.name for one in _with(spec, environ))


def remove(spec: Deployment, environ: Mapping[str, str]) -> list[str]:
    """All of them; returns their names. Raises Failure for the first that stays."""
    return sorted(one.name for one in _with(spec, environ, remove=True))


def _with(spec: Deployment, environ: Mapping[str, str], *, remove: bool = False) -> list[Any]:
    from docker.errors import DockerException  # noqa: PLC0415 - slow to load
    from requests.exceptions import RequestException  # noqa: PLC0415 - what docker lets through

    label = f"{docker_facts.LABEL}={spec.name}"
    try:
        with docker_facts.daemon(spec, environ) as client:
            listed = client.volumes.list(filters={"label": label})
            found = [one for one in listed if names.holds_data(spec, str(one.name))]
            for one in found if remove else ():
                one.remove()
    except (DockerException, RequestException, OSError) as error:
        doing = "cannot delete" if remove else "does not list"
        raise Failure(f"The Docker daemon {doing} the volumes of {spec.name}: {docker_facts.reason(error)}.") from error
    return found
