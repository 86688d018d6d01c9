"""A Docker host as it is: what its daemon says, and what is seen from here. Nothing is changed."""

from __future__ import annotations

import contextlib
import errno
import os
import shutil
import socket
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from stacks.commands import daemon_limits, docker_endpoint, docker_neighbours, docker_place, listeners
from stacks.commands.docker_endpoint import Endpoint
from stacks.commands.docker_neighbours import Network, Volume
from stacks.commands.docker_place import Place
from stacks.commands.failures import Failure
from stacks.spec import Deployment

if TYPE_CHECKING:
    import docker

LABEL: Final = "io.veloz.deployment"
EVERYWHERE: Final = "0.0.0.0"  # noqa: S104 - compared, not bound
IN_USE: Final = os.strerror(errno.EADDRINUSE).lower()
_SECONDS: Final = 8
_MIB: Final = 1024 * 1024


class Container(NamedTuple):
    """`ports` are those published: (address, port)."""

    name: str
    deployment: str
    ports: tuple[tuple[str, int], ...]


class Facts(NamedTuple):
    """`away` says why the daemon cannot be reached; then the rest is empty. `disk`, `files`, `taken` None: not seen from here.

    `taken` says why an address and port cannot be had: of those wanted, and where all addresses are, of each that is in use.
    """

    host: str
    away: str = ""
    version: str = ""
    cpus: int = 0
    memory: int = 0
    disk: int | None = None
    files: int | None = None
    containers: tuple[Container, ...] = ()
    networks: tuple[Network, ...] = ()
    volumes: tuple[Volume, ...] = ()
    images: Mapping[str, Mapping[str, str]] = {}
    in_registry: frozenset[str] = frozenset()
    taken: Mapping[tuple[str, int], str] | None = None
    place: Place = Place()


def host(spec: Deployment, environ: Mapping[str, str]) -> str:
    """Where the daemon is, see docker_endpoint.py."""
    return docker_endpoint.find(spec, environ).host


def images(spec: Deployment) -> tuple[str, ...]:
    """What must be on the host or in a registry that it reaches, whether to run or to build from."""
    wanted = [getattr(spec.images, spec.edge.kind)] if spec.replicas("balancer") else []
    wanted += [
        getattr(spec.images, role) for role in ("postgres", "redis", "prometheus", "grafana") if spec.replicas(role)
    ]
    return tuple(dict.fromkeys([spec.images.veloz or spec.images.python, *wanted]))


def published(spec: Deployment) -> tuple[tuple[str, int], ...]:
    edge = spec.edge
    both = (edge.http_port, edge.https_port) if spec.encrypted else (edge.http_port,)
    return tuple((edge.address, port) for port in both)


def read(spec: Deployment, environ: Mapping[str, str]) -> Facts:
    """Ask the daemon."""
    from docker.errors import DockerException  # noqa: PLC0415 - slow to load
    from requests.exceptions import RequestException  # noqa: PLC0415 - what docker lets through

    where = host(spec, environ)
    try:
        with daemon(spec, environ) as client:
            return _read(spec, where, client)
    except (DockerException, RequestException, OSError) as error:
        return Facts(where, away=reason(error))


def lacks(spec: Deployment, environ: Mapping[str, str], image: str) -> bool:
    """Whether a daemon that answers has no image of this name."""
    from docker.errors import DockerException, ImageNotFound  # noqa: PLC0415 - slow to load
    from requests.exceptions import RequestException  # noqa: PLC0415

    try:
        with daemon(spec, environ) as client:
            client.images.get(image)
    except ImageNotFound:
        return True
    except (DockerException, RequestException, OSError):
        return False
    return False


def labels(spec: Deployment, environ: Mapping[str, str], image: str) -> dict[str, str] | None:
    """Of an image that is on the host; None: it is not, or the daemon does not answer."""
    from docker.errors import DockerException  # noqa: PLC0415 - slow to load
    from requests.exceptions import RequestException  # noqa: PLC0415

    try:
        with daemon(spec, environ) as client:
            return dict(client.images.get(image).labels or {})
    except (DockerException, RequestException, OSError):
        return None


def identity(spec: Deployment, environ: Mapping[str, str]) -> dict[str, str]:
    """By what the daemon is known: a clone of its host has its number, and two on one host may share it. Raises Failure."""
    from docker.errors import DockerException  # noqa: PLC0415 - slow to load
    from requests.exceptions import RequestException  # noqa: PLC0415

    try:
        with daemon(spec, environ) as client:
            info, again = client.info(), client.info()
    except (DockerException, RequestException, OSError) as error:
        raise Failure(f"The Docker daemon at {host(spec, environ)} does not say who it is: {reason(error)}.") from error
    place = f"{info.get('Name')}:{info.get('DockerRootDir')}"
    number = info.get("ID")
    # Podman's API makes up another one for each answer.
    return {"daemon": f"{number} {place}" if number and number == again.get("ID") else "", "place": place}


def daemon(spec: Deployment, environ: Mapping[str, str]) -> contextlib.AbstractContextManager[docker.DockerClient]:
    """A client of the deployment's daemon. Raises DockerException or OSError."""
    return _client(docker_endpoint.find(spec, environ))


@contextlib.contextmanager
def _client(endpoint: Endpoint) -> Iterator[docker.DockerClient]:
    import docker  # noqa: PLC0415 - slow to load

    where = endpoint.host
    _knock(where)
    client = docker.DockerClient(
        base_url=where, timeout=_SECONDS, use_ssh_client=where.startswith("ssh://"), tls=endpoint.tls() or False
    )
    with contextlib.closing(client):
        yield client


def _knock(where: str) -> None:
    """A socket that is not there or not ours: said here, since the client library leaves its own open then."""
    if where.startswith("unix://"):
        with socket.socket(socket.AF_UNIX) as probe:
            probe.settimeout(_SECONDS)
            probe.connect(where.removeprefix("unix://"))


def _read(spec: Deployment, where: str, client: docker.DockerClient) -> Facts:
    info = client.info()
    found = [_container(one) for one in client.api.containers(all=True)]
    here = {}
    for image in client.images.list():
        for tag in (*image.tags, *(image.attrs.get("RepoDigests") or ())):
            here[str(tag)] = dict(image.labels or {})
    missing = [image for image in images(spec) if image not in here]
    near = where.startswith("unix://")
    root = str(info.get("DockerRootDir") or "")
    return Facts(
        where,
        version=str(info.get("ServerVersion")),
        cpus=int(info.get("NCPU") or 0),
        memory=int(info.get("MemTotal") or 0) // _MIB,
        disk=_free(Path(root)) if near and root else None,
        files=daemon_limits.open_files(where) if near else None,
        containers=tuple(found),
        networks=docker_neighbours.networks(client, LABEL),
        volumes=docker_neighbours.volumes(client, LABEL),
        images=here,
        in_registry=frozenset(image for image in missing if _in_registry(client, image)),
        taken=seen_taken(spec) if near else None,
        place=docker_place.look(where),
    )


def seen_taken(spec: Deployment) -> dict[tuple[str, int], str]:
    """As Facts has it, by this machine."""
    families = {EVERYWHERE: "tcp", "::": "tcp6"}
    wide = [(families[address], port) for address, port in published(spec) if address in families]
    used = {(where, port): IN_USE for family, port in wide for where in listeners.addresses(port, family)}
    return used | {place: why for place in published(spec) if (why := taken(*place))}


def _container(one: Mapping[str, Any]) -> Container:
    open_ports = tuple(
        (str(port.get("IP") or EVERYWHERE), int(port["PublicPort"])) for port in one.get("Ports") or () if port.get("PublicPort")
    )  # fmt: skip
    name = str((one.get("Names") or ["/"])[0]).lstrip("/")
    return Container(name, str((one.get("Labels") or {}).get(LABEL, "")), open_ports)


def _in_registry(client: docker.DockerClient, image: str) -> bool:
    from docker.errors import DockerException  # noqa: PLC0415
    from requests.exceptions import RequestException  # noqa: PLC0415

    try:
        client.api.inspect_distribution(image)  # type: ignore[no-untyped-call]
    except (DockerException, RequestException, ValueError):
        return False
    return True


def _free(folder: Path) -> int | None:
    """MiB free where the folder is, or would be."""
    while not os.access(folder, os.X_OK) and folder != folder.parent:
        folder = folder.parent
    try:
        return shutil.disk_usage(folder).free // _MIB
    except OSError:
        return None


def taken(address: str, port: int) -> str:
    """Why a port cannot be had; empty when it can."""
    family = socket.AF_INET6 if ":" in address else socket.AF_INET
    with socket.socket(family) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((address, port))
        except OSError as error:
            # The daemon is root, whoever asks.
            return "" if error.errno == errno.EACCES else str(error.strerror).lower()
    return ""


def reason(error: BaseException) -> str:
    """The innermost word of a chain of wrapped errors."""
    while (inner := error.__cause__ or error.__context__) is not None:
        error = inner
    text = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
    return text.splitlines()[0] if text else type(error).__name__
