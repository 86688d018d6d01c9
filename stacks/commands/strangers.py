"""Containers of a deployment's name that its stack does not know of: another stack's, or left by one that lost its state.

All of a Docker host is known by the deployment's name. A second stack of that name would take the first one's volumes as its
own, fail half way at its containers, and delete its data at the end.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Final

from stacks.commands import docker_facts
from stacks.commands.failures import Failure
from stacks.spec import Deployment

_MOST: Final = 5


def check(spec: Deployment, environ: Mapping[str, str], known: Collection[str], stack: str) -> None:
    """`known`: names of the containers in the stack's state. Raises Failure.

    On Kubernetes its provider refuses to create what is there.
    """
    if spec.topology != "kubernetes":
        _refuse(spec, stack, [name for name in there(spec, environ) if name not in known])


def there(spec: Deployment, environ: Mapping[str, str]) -> list[str]:
    """Names of all that bear the deployment's label, sorted. Raises Failure."""
    from docker.errors import DockerException  # noqa: PLC0415 - slow to load
    from requests.exceptions import RequestException  # noqa: PLC0415 - what docker lets through

    try:
        with docker_facts.daemon(spec, environ) as client:
            label = f"{docker_facts.LABEL}={spec.name}"
            return sorted(str(one.name) for one in client.containers.list(all=True, filters={"label": label}))
    except (DockerException, RequestException, OSError) as error:
        raise Failure(f"The Docker daemon does not list its containers: {docker_facts.reason(error)}.") from error


def _refuse(spec: Deployment, stack: str, names: list[str]) -> None:
    if not names:
        return
    shown = ", ".join(names[:_MOST]) + (f" and {len(names) - _MOST} more" if len(names) > _MOST else "")
    raise Failure(
        f"{shown}: there already, of a deployment {spec.name} that the state of stack {stack} does not know of. Another stack "
        "has this name, the state is kept elsewhere (PULUMI_BACKEND_URL), or a command was cut off before it was recorded. "
        "Nothing was changed. Give this deployment another name, or select that state. When nobody needs them, "
        f"`docker rm --force {' '.join(names)}` takes them away and leaves their data."
    )
