"""An image's labels as its registry has them: the manifest, then the configuration that it names. No layer is pulled.

What is asked and answered: https://github.com/opencontainers/distribution-spec/blob/main/spec.md and, for tokens,
https://distribution.github.io/distribution/spec/auth/token/. Credentials are the docker command's, as docker-py reads them.
"""

from __future__ import annotations

import json
import re
import ssl
from collections.abc import Callable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import Any, Final, NamedTuple, TypeAlias
from urllib.parse import urlsplit

import requests

from stacks.references import parse
from stacks.registry_login import HUB, Login, login, resolved
from stacks.this_machine import is_this

_SECONDS: Final = (4, 8)  # to connect, and between two parts of an answer
_LONGEST: Final = 4 * 1024 * 1024  # what registries themselves take for a manifest
_MANIFESTS: Final = frozenset(
    {"application/vnd.oci.image.manifest.v1+json", "application/vnd.docker.distribution.manifest.v2+json"}
)
_INDEXES: Final = frozenset(
    {"application/vnd.oci.image.index.v1+json", "application/vnd.docker.distribution.manifest.list.v2+json"}
)
_ACCEPT: Final = ", ".join(sorted(_MANIFESTS | _INDEXES))
_MOST_PLATFORMS: Final = 16
_PARAMETER: Final = re.compile(r'(\w+)="([^"]*)"')

Authorize: TypeAlias = Callable[[requests.PreparedRequest], requests.PreparedRequest]


class Unsaid(Exception):
    """The registry gives no labels; the message says why."""


class _Place(NamedTuple):
    url: str
    repository: str
    reference: str  # tag or digest

    @property
    def near(self) -> bool:
        return is_this(urlsplit(self.url).hostname or "")

    @property
    def authorities(self) -> str | bool:
        """Who may have signed its certificate: whom the Docker daemon believes, else whom this system does."""
        own = Path("/etc/docker/certs.d", urlsplit(self.url).netloc, "ca.crt")
        system = ssl.get_default_verify_paths()
        return str(own) if own.is_file() else system.cafile or system.capath or True


def labels(image: str) -> dict[str, str]:
    """Those that the image has on every platform. Raises Unsaid."""
    known, place = _login(image), _place(image)
    try:
        with requests.Session() as session:
            # Proxies and authorities of the environment are for what is elsewhere.
            session.trust_env = not place.near
            session.verify = place.authorities
            return _Reader(session, place, known).labels()
    except requests.RequestException as error:
        host = urlsplit(error.request.url or "").netloc if error.request is not None else image
        raise Unsaid(f"{host} gives no answer ({type(error).__name__})") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise Unsaid(f"the registry of {image} answers what cannot be read ({type(error).__name__})") from error


def _login(image: str) -> Login | None:
    from docker.errors import DockerException  # noqa: PLC0415 - slow to load

    try:
        return login(image)
    except (DockerException, OSError, ValueError) as error:
        raise Unsaid(f"the docker command's credentials cannot be read: {error}") from error


def _place(image: str) -> _Place:
    name = parse(image)
    host, repository = resolved(image)
    if host == HUB:
        host = "registry-1.docker.io"
        repository = repository if "/" in repository else f"library/{repository}"
    # As the Docker daemon: no other registry is asked without TLS.
    scheme = "http" if is_this(urlsplit(f"//{host}").hostname or "") else "https"
    return _Place(f"{scheme}://{host}", repository, name.digest or name.tag or "latest")


class _Reader:
    def __init__(self, session: requests.Session, place: _Place, known: Login | None) -> None:
        self._session = session
        self._place = place
        self._login = known
        # Given with each request, or requests takes what ~/.netrc says.
        self._authorize: Authorize = _nothing

    def labels(self) -> dict[str, str]:
        found = [self._configured(one) for one in self._manifests()]
        return {name: value for name, value in found[0].items() if all(it.get(name) == value for it in found)}

    def _manifests(self) -> list[Mapping[str, Any]]:
        """One for each platform."""
        first = self._get("manifests", self._place.reference, accept=_ACCEPT)
        if first.get("mediaType") not in _INDEXES and "manifests" not in first:
            return [first]
        # Of no platform are notes about an image: how it was built, who signed it.
        digests = [
            one["digest"] for one in first["manifests"] if (one.get("platform") or {}).get("os", "linux") != "unknown"
        ]
        if not 1 <= len(digests) <= _MOST_PLATFORMS:
            raise Unsaid(f"its index names {len(digests)} platforms")
        return [self._get("manifests", digest, accept=_ACCEPT) for digest in digests]

    def _configured(self, manifest: Mapping[str, Any]) -> dict[str, str]:
        config = self._get("blobs", manifest["config"]["digest"])
        said = (config.get("config") or {}).get("Labels") or {}
        return {str(name): str(value) for name, value in said.items()}

    def _get(self, what: str, which: str, *, accept: str = "*/*") -> dict[str, Any]:
        """A document; by its digest it is checked, wherever the registry has it kept."""
        url = f"{self._place.url}/v2/{self._place.repository}/{what}/{which}"
        answer = self._ask(url, accept)
        if answer.status_code == requests.codes.unauthorized:
            self._authorize = self._admission(answer.headers.get("WWW-Authenticate", ""))
            answer = self._ask(url, accept)
        if answer.status_code != requests.codes.ok:
            raise Unsaid(f"{self._place.url} answers {answer.status_code} for {self._place.repository}, {which[:32]}")
        content = answer.raw.read(_LONGEST + 1, decode_content=True)
        if len(content) > _LONGEST:
            raise Unsaid(f"{which[:32]} of {self._place.repository} is longer than {_LONGEST} bytes")
        if which.startswith("sha256:") and f"sha256:{sha256(content).hexdigest()}" != which:
            raise Unsaid(f"{self._place.url} gives something else for {which[:32]}…")
        document = json.loads(content)
        if not isinstance(document, dict):
            raise Unsaid(f"{which[:32]} of {self._place.repository} is no document")
        return document

    def _ask(self, url: str, accept: str) -> requests.Response:
        return self._session.get(url, headers={"Accept": accept}, auth=self._authorize, timeout=_SECONDS, stream=True)

    def _admission(self, challenge: str) -> Authorize:
        """What the registry asks for by its WWW-Authenticate. Raises Unsaid."""
        kind = challenge.partition(" ")[0].lower()
        if kind == "basic" and self._login is not None and self._login.username:
            return requests.auth.HTTPBasicAuth(self._login.username, self._login.password)
        told = dict(_PARAMETER.findall(challenge))
        if kind == "bearer" and "realm" in told:
            return _header(f"Bearer {self._token(told)}")
        who = "the docker command's login" if self._login else "nobody: docker login it"
        raise Unsaid(f"{self._place.url} wants a login, and has {who}")

    def _token(self, told: Mapping[str, str]) -> str:
        realm = urlsplit(told["realm"])
        if realm.scheme != "https" and not (realm.scheme == "http" and is_this(realm.hostname or "")):
            raise Unsaid(f"{self._place.url} sends logins to {told['realm']}, which has no TLS")
        asked = {"scope": f"repository:{self._place.repository}:pull"}
        if service := told.get("service"):
            asked["service"] = service
        if self._login and self._login.identity_token:
            form = {"grant_type": "refresh_token", "client_id": "veloz", "refresh_token": self._login.identity_token}
            answer = self._session.post(told["realm"], data=asked | form, auth=_nothing, timeout=_SECONDS)
        else:
            known = self._login
            basic = requests.auth.HTTPBasicAuth(known.username, known.password) if known else _nothing
            answer = self._session.get(told["realm"], params=asked, auth=basic, timeout=_SECONDS)
        if answer.status_code != requests.codes.ok:
            raise Unsaid(f"{realm.netloc} answers {answer.status_code} when asked for a token")
        body = answer.json()
        return str(body.get("token") or body["access_token"])


def _nothing(request: requests.PreparedRequest) -> requests.PreparedRequest:
    return request


def _header(value: str) -> Authorize:
    def authorize(request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["Authorization"] = value
        return request

    return authorize
