"""A cluster as it is: what its API says. Nothing is changed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from hashlib import sha256
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final, NamedTuple

from stacks.commands.docker_facts import reason
from stacks.commands.failures import Failure
from stacks.spec import Deployment

_SECONDS: Final = 8
_MIB: Final = 1024 * 1024
_OLDEST: Final = "kube-system"
_DEFAULT_CLASS: Final = "storageclass.kubernetes.io/is-default-class"


class Node(NamedTuple):
    """What it gives to pods: thousandths of a core, MiB."""

    name: str
    cpu: int
    memory: int
    images: frozenset[str] = frozenset()


class Facts(NamedTuple):
    """`away` says why the API cannot be reached; then the rest is empty. `namespace`: its labels, None when there is none."""

    context: str
    away: str = ""
    version: str = ""
    nodes: tuple[Node, ...] = ()
    storage: Mapping[str, bool] = {}
    ingress: frozenset[str] = frozenset()
    groups: frozenset[str] = frozenset()
    namespace: Mapping[str, str] | None = None
    claims: Mapping[str, int] = {}  # of the namespace: MiB asked for


def read(spec: Deployment) -> Facts:
    """Of the context that the stack file names, else of the kubeconfig's current one."""
    from kubernetes.client import ApiException  # noqa: PLC0415 - slow to load
    from kubernetes.config import ConfigException  # noqa: PLC0415
    from urllib3.exceptions import HTTPError  # noqa: PLC0415

    where = context(spec)
    try:
        with api(spec) as client:
            return _read(spec, where, client)
    except ApiException as error:
        return Facts(where, away=f"the API says {error.status} {error.reason}")
    except ConfigException as error:
        return Facts(where, away=str(error))
    except (HTTPError, OSError) as error:
        return Facts(where, away=reason(error))


def context(spec: Deployment) -> str:
    """The one that is in use."""
    from kubernetes import config  # noqa: PLC0415 - slow to load
    from kubernetes.config import ConfigException  # noqa: PLC0415

    if spec.kubernetes.context:
        return spec.kubernetes.context
    list_contexts: Any = config.list_kube_config_contexts  # its type is lacking
    try:
        return str(list_contexts()[1]["name"])
    except (ConfigException, OSError, KeyError, TypeError):
        return "the current context"


def identity(spec: Deployment) -> dict[str, str]:
    """By what the cluster is known: the namespace that is as old as it, and the authority of its API. Raises Failure."""
    from kubernetes.client import ApiException, CoreV1Api  # noqa: PLC0415 - slow to load
    from kubernetes.config import ConfigException  # noqa: PLC0415
    from urllib3.exceptions import HTTPError  # noqa: PLC0415

    where = context(spec)
    try:
        with api(spec) as client:
            authority = client.configuration.ssl_ca_cert
            known = {"authority": sha256(Path(authority).read_bytes()).hexdigest() if authority else ""}
            try:
                core: Any = CoreV1Api(client)
                found = core.read_namespace(_OLDEST, _request_timeout=_SECONDS)
                known["namespace"] = str(found.metadata.uid)
            except ApiException as error:
                if error.status not in {HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND}:
                    raise
            return known
    except (ApiException, ConfigException, HTTPError, OSError) as error:
        said = f"the API says {error.status}" if isinstance(error, ApiException) else reason(error)
        raise Failure(f"The cluster of {where} does not say who it is: {said}.") from error


def api(spec: Deployment) -> Any:  # noqa: ANN401 - its type lacks half of it
    """A client that asks once. Raises ConfigException."""
    from kubernetes import config  # noqa: PLC0415 - slow to load
    from kubernetes.client import Configuration  # noqa: PLC0415

    once: Any = Configuration()
    once.retries = False
    new_client: Any = config.new_client_from_config  # its type lacks the last argument
    return new_client(context=spec.kubernetes.context or None, client_configuration=once)


def _read(spec: Deployment, where: str, client: Any) -> Facts:  # noqa: ANN401 - its type lacks half of it
    from kubernetes.client import ApisApi, CoreV1Api, NetworkingV1Api, StorageV1Api, VersionApi  # noqa: PLC0415

    core: Any = CoreV1Api(client)
    limit: dict[str, Any] = {"_request_timeout": _SECONDS}
    version = VersionApi(client).get_code(**limit).git_version
    storage: list[Any] = StorageV1Api(client).list_storage_class(**limit).items
    classes: list[Any] = NetworkingV1Api(client).list_ingress_class(**limit).items
    groups = ApisApi(client).get_api_versions(**limit).groups
    found = core.list_namespace(field_selector=f"metadata.name={spec.name}", **limit).items
    claims = core.list_namespaced_persistent_volume_claim(spec.name, **limit).items if found else []
    return Facts(
        where,
        version=str(version),
        nodes=tuple(_nodes(core.list_node(**limit).items)),
        storage={one.metadata.name: (one.metadata.annotations or {}).get(_DEFAULT_CLASS) == "true" for one in storage},
        ingress=frozenset(one.metadata.name for one in classes),
        groups=frozenset(one.name for one in groups),
        namespace=dict(found[0].metadata.labels or {}) if found else None,
        claims={one.metadata.name: _mib(one.spec.resources.requests["storage"]) for one in claims},
    )


def _mib(quantity: str) -> int:
    from kubernetes.utils.quantity import parse_quantity  # type: ignore[import-untyped]  # noqa: PLC0415

    return int(parse_quantity(quantity) // _MIB)


def _nodes(listed: list[Any]) -> Iterator[Node]:
    from kubernetes.utils.quantity import parse_quantity  # noqa: PLC0415

    for one in listed:
        if one.spec.unschedulable:
            continue
        allocatable = one.status.allocatable or {}
        names = frozenset(name for image in one.status.images or () for name in image.names or ())
        yield Node(
            one.metadata.name,
            int(parse_quantity(allocatable.get("cpu", "0")) * 1000),
            int(parse_quantity(allocatable.get("memory", "0")) // _MIB),
            names,
        )
