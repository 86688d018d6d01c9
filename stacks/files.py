"""What a container gets as files."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple
from urllib.parse import quote

from stacks import names
from stacks.environment import secret_files
from stacks.secrets import Secrets
from stacks.spec import Deployment

if TYPE_CHECKING:
    import pulumi


class File(NamedTuple):
    """`secret`: for its owner and group 0 alone."""

    path: str
    content: pulumi.Input[str]
    secret: bool = False

    @property
    def mode(self) -> str:
        return "0440" if self.secret else "0444"

    @property
    def name(self) -> str:
        return self.path.rpartition("/")[2]


def needed(secret: pulumi.Input[str] | None, name: str) -> pulumi.Input[str]:
    if secret is None:
        raise ValueError(f"the secret {name} is missing")  # Secrets.from_config refuses that
    return secret


def given(secrets: Secrets) -> frozenset[str]:
    """The optional secrets that a gateway reads and the stack has."""
    every = ("admin_password", "binance_api_key", "binance_api_secret")
    return frozenset(name for name in every if getattr(secrets, name) is not None)


def gateway_files(spec: Deployment, secrets: Secrets) -> tuple[File, ...]:
    """The secrets of a gateway, where `environment.variables` says they are."""
    contents = {"postgres_dsn": postgres_dsn(spec, secrets), "redis_url": redis_url(spec, secrets)}
    files = []
    for name, path in secret_files(spec, given(secrets)).items():
        content = contents.get(name) or getattr(secrets, name)
        if content is None:
            raise ValueError(f"the secret {name} is missing")  # Secrets.from_config refuses that
        files.append(File(path, content, secret=True))
    return tuple(files)


def postgres_dsn(spec: Deployment, secrets: Secrets) -> pulumi.Input[str] | None:
    """Of a deployed server made of its password; of an external one as it was given."""
    if secrets.postgres_password is None:
        return secrets.postgres_dsn
    place = f"{names.host(spec, 'postgres')}:{names.postgres_port(spec)}"
    return _around(f"postgresql://{names.DATABASE}:", secrets.postgres_password, f"@{place}/{names.DATABASE}")


def redis_url(spec: Deployment, secrets: Secrets) -> pulumi.Input[str] | None:
    if secrets.redis_password is None:
        return secrets.redis_url
    return _around("redis://:", secrets.redis_password, f"@{names.host(spec, 'redis')}:{names.redis_port(spec)}/0")


def _around(before: str, secret: pulumi.Input[str], after: str) -> pulumi.Output[str]:
    import pulumi  # noqa: PLC0415 - the rest is wanted where Pulumi is not installed

    return pulumi.Output.secret(secret).apply(lambda password: f"{before}{quote(password, safe='')}{after}")
