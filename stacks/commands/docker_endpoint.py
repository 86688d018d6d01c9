"""Where the Docker daemon is, and with which certificates it is spoken to: as the docker command finds it.

https://docs.docker.com/engine/security/protect-access/
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, NamedTuple

from stacks.commands.failures import Failure
from stacks.spec import Deployment

if TYPE_CHECKING:
    from docker.tls import TLSConfig

DEFAULT: Final = "unix:///var/run/docker.sock"
_HOST: Final = "DOCKER_HOST"
_CONTEXT: Final = "DOCKER_CONTEXT"
_FOLDER: Final = "DOCKER_CERT_PATH"
_VERIFY: Final = "DOCKER_TLS_VERIFY"
_AUTHORITY: Final = "ca.pem"
_CERTIFICATE: Final = ("cert.pem", "key.pem")
_OVER_TLS: Final = "tcp://"


class Endpoint(NamedTuple):
    """`certificates`: the folder with ca.pem, cert.pem and key.pem; empty: it is not spoken to over TLS."""

    host: str
    certificates: str = ""

    def tls(self) -> TLSConfig | None:
        """The daemon is always verified: it is told every secret. Raises TLSParameterError or FileNotFoundError."""
        if not self.certificates:
            return None
        folder = Path(self.certificates)
        for name in (_AUTHORITY, *_CERTIFICATE):
            if not (folder / name).is_file():
                raise FileNotFoundError(f"{folder / name} is missing, which {_FOLDER} or the docker context promises")
        certificate, key = (str(folder / name) for name in _CERTIFICATE)
        return _verifying()(client_cert=(certificate, key), ca_cert=str(folder / _AUTHORITY), verify=True)


def _verifying() -> type[TLSConfig]:
    from docker.tls import TLSConfig  # noqa: PLC0415 - slow to load

    class Verifying(TLSConfig):
        """requests puts REQUESTS_CA_BUNDLE before a session's own authority, but not before a request's."""

        def configure_client(self, client: Any) -> None:  # noqa: ANN401 - as its parent has it
            super().configure_client(client)
            merge = client.merge_environment_settings

            def ours(url: str, proxies: object, stream: object, verify: object, cert: object) -> Any:  # noqa: ANN401
                return merge(url, proxies, stream, client.verify if verify is None else verify, cert)

            client.merge_environment_settings = ours

    return Verifying


def find(spec: Deployment, environ: Mapping[str, str]) -> Endpoint:
    """The stack file's word, else DOCKER_HOST, else DOCKER_CONTEXT, else the current context. Raises Failure."""
    if found := spec.docker.host or environ.get(_HOST):
        return Endpoint(found, _folder(environ) if found.startswith(_OVER_TLS) else "")
    from docker.context import ContextAPI  # noqa: PLC0415 - slow to load

    named = environ.get(_CONTEXT)
    context = None
    with contextlib.suppress(Exception):  # an unreadable configuration of the docker command means its default
        context = ContextAPI.get_context(named or None)
    if context is None and named:
        raise Failure(f"{_CONTEXT}={named} names no docker context that can be read. See: docker context ls")
    if context is None or not context.Host:
        return Endpoint(DEFAULT)
    tls = context.TLSConfig
    return Endpoint(str(context.Host), str(Path(tls.ca_cert).parent) if tls and tls.ca_cert else "")


def aim(environ: MutableMapping[str, str], endpoint: Endpoint) -> None:
    """So that Pulumi's Docker takes it, which goes by these alone and puts a context before a host."""
    for name in (_CONTEXT, _FOLDER, _VERIFY):
        environ.pop(name, None)
    environ[_HOST] = endpoint.host
    if endpoint.certificates:
        environ.update({_FOLDER: endpoint.certificates, _VERIFY: "1"})


def _folder(environ: Mapping[str, str]) -> str:
    if folder := environ.get(_FOLDER):
        return str(Path(folder).absolute())
    return str(Path.home() / ".docker") if environ.get(_VERIFY) else ""
