"""The docker command's credentials for an image's registry: of its config.json, its credHelpers or its credsStore."""

from __future__ import annotations

import warnings
from typing import NamedTuple

from stacks.references import parse


class Login(NamedTuple):
    """Its repr shows no secret. `identity_token` stands in for a password where `docker login` got one."""

    username: str
    password: str
    identity_token: str = ""

    def __repr__(self) -> str:
        return "Login()"


def login(image: str) -> Login | None:
    """None: there is none. Raises docker.errors.DockerException, OSError or ValueError for what cannot be read."""
    from docker import auth  # noqa: PLC0415 - slow to load

    registry, _ = auth.resolve_repository_name(parse(image).repository)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a helper that is not installed: the error says it
        found = auth.load_config().resolve_authconfig(registry)
    # What a helper says is spelt otherwise than what the file says.
    told = {name.lower(): str(value) for name, value in (found or {}).items() if value}
    known = Login(told.get("username", ""), told.get("password", ""), told.get("identitytoken", ""))
    return known if known.username or known.identity_token else None
