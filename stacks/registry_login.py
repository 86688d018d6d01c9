"""The docker command's credentials for an image's registry: of its config.json, its credHelpers or its credsStore."""

from __future__ import annotations

import warnings
from typing import Final, NamedTuple

from stacks.references import parse

HUB: Final = "docker.io"


class Login(NamedTuple):
    """Its repr shows no secret. `identity_token` stands in for a password where `docker login` got one; `helped`: by a helper."""

    username: str
    password: str
    identity_token: str = ""
    helped: bool = False

    def __repr__(self) -> str:
        return "Login()"


def registry(image: str) -> str:
    """Where an image is from, e.g. `ghcr.io`, `10.0.0.1:5000` or HUB. Raises docker.errors.DockerException."""
    return resolved(image)[0]


def resolved(image: str) -> tuple[str, str]:
    """Registry and repository, as the docker command understands them. Raises docker.errors.DockerException."""
    from docker import auth  # noqa: PLC0415 - slow to load

    place, repository = auth.resolve_repository_name(parse(image).repository)
    return place, repository


def login(image: str) -> Login | None:
    """None: there is none. Raises docker.errors.DockerException, OSError or ValueError for what cannot be read."""
    from docker import auth  # noqa: PLC0415 - slow to load

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a helper that is not installed: the error says it
        found = auth.load_config().resolve_authconfig(registry(image)) or {}
    # What a helper says is spelt otherwise than what the file says.
    told = {name.lower(): str(value) for name, value in found.items() if value}
    helped = "ServerAddress" in found
    known = Login(told.get("username", ""), told.get("password", ""), told.get("identitytoken", ""), helped)
    return known if known.username or known.identity_token else None
