"""The secrets of a deployment: which there are, which are random, and the bundle read from the stack's encrypted configuration.

They are the leaves of `veloz:secrets`. No value is ever in the model, an environment or plain state.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING, Any, Final, Protocol

import msgspec

from app.settings import Settings
from app.variables import check_key, check_password
from stacks import external_stores
from stacks.older_image import secret_refusals
from stacks.refusals import Refusal, SpecError
from stacks.spec import Deployment

if TYPE_CHECKING:
    import pulumi

CONFIG_KEY: Final = "secrets"
_PAIRS: Final = (("binance_api_key", "binance_api_secret"), ("registry_username", "registry_password"))
_OF_GATEWAYS: Final = ("admin_password", "binance_api_key", "binance_api_secret")
RANDOM: Final = ("postgres_password", "redis_password", "api_key", "cluster_secret", "grafana_password")


_SETTINGS: Final = {field.name: field.type for field in msgspec.structs.fields(Settings)}


class Config(Protocol):
    """The part of pulumi.Config that is used."""

    def get_object(self, key: str) -> Any: ...  # noqa: ANN401 - as Pulumi has it


def required(spec: Deployment) -> tuple[str, ...]:
    """The names without which the deployment cannot be, in the order of Secrets."""
    wanted = {"api_key"}
    if spec.topology != "single":
        wanted.add("cluster_secret")
    if spec.postgres.store == "deployed":
        wanted.add("postgres_password")
    if spec.postgres.store == "external":
        wanted.add("postgres_dsn")
    if spec.redis.store == "deployed":
        wanted.add("redis_password")
    if spec.redis.store == "external":
        wanted.add("redis_url")
    if spec.replicas("grafana"):
        wanted.add("grafana_password")
    if spec.edge.tls.source in {"generated", "provided"}:
        wanted |= {"tls_certificate", "tls_key"}
    if spec.edge.tls.source == "generated":
        wanted.add("tls_ca")
    return tuple(name for name in NAMES if name in wanted)


def optional(spec: Deployment) -> tuple[str, ...]:
    """The names that may be given besides."""
    authority = ("tls_ca",) if spec.edge.tls.source == "provided" else ()
    registry = ("registry_username", "registry_password") if spec.images.registry and not spec.images.veloz else ()
    return (*authority, "admin_password", "binance_api_key", "binance_api_secret", *registry)


def random_names(spec: Deployment) -> tuple[str, ...]:
    """Those of the required ones that `init` makes: 256 random bits each."""
    return tuple(name for name in required(spec) if name in RANDOM)


@dataclass(frozen=True, kw_only=True)
class Secrets:
    """None: not needed, or not given. Its repr shows no value."""

    postgres_password: pulumi.Input[str] | None = None
    postgres_dsn: pulumi.Input[str] | None = None
    redis_password: pulumi.Input[str] | None = None
    redis_url: pulumi.Input[str] | None = None
    api_key: pulumi.Input[str] | None = None
    cluster_secret: pulumi.Input[str] | None = None
    admin_password: pulumi.Input[str] | None = None
    binance_api_key: pulumi.Input[str] | None = None
    binance_api_secret: pulumi.Input[str] | None = None
    grafana_password: pulumi.Input[str] | None = None
    tls_certificate: pulumi.Input[str] | None = None
    tls_key: pulumi.Input[str] | None = None
    tls_ca: pulumi.Input[str] | None = None
    registry_username: pulumi.Input[str] | None = None
    registry_password: pulumi.Input[str] | None = None

    def __repr__(self) -> str:
        return f"Secrets({', '.join(name for name in NAMES if getattr(self, name) is not None)})"

    @classmethod
    def from_config(cls, config: Config, spec: Deployment) -> Secrets:
        """What the stack's configuration has, as secret outputs. Raises SpecError with everything that is wrong."""
        import pulumi  # noqa: PLC0415 - the names are wanted where Pulumi is not installed

        given = config.get_object(CONFIG_KEY) or {}
        if wrong := problems(given, spec):
            raise SpecError(wrong)
        return cls(**{name: pulumi.Output.secret(value) for name, value in useful(given, spec).items()})


NAMES: Final = tuple(field.name for field in fields(Secrets))


def useful(given: Mapping[str, str], spec: Deployment) -> dict[str, str]:
    """Those that the deployment takes: what another description left in the configuration is passed over."""
    return {name: value for name, value in given.items() if value and name in wanted(spec)}


def wanted(spec: Deployment) -> tuple[str, ...]:
    return required(spec) + optional(spec)


def problems(given: Any, spec: Deployment) -> list[Refusal]:  # noqa: ANN401 - whatever the configuration holds
    """What is wrong with the secrets of a stack. No refusal shows a value."""
    path = f"veloz:{CONFIG_KEY}"
    if not isinstance(given, Mapping):
        return [Refusal(path, None, "must be an object of names and secrets", "run `make init STACK=…`")]
    found = [
        Refusal(f"{path}.{name}", None, "is missing", remedy(name, spec))
        for name in required(spec)
        if not given.get(name)
    ]
    for name in given:
        if name not in NAMES:
            found.append(Refusal(f"{path}.{name}", None, f"is not one of {', '.join(NAMES)}", "remove it"))
        elif given[name] and (fault := _fault(name, given[name])):
            found.append(Refusal(f"{path}.{name}", None, fault, remedy(name, spec)))
    found += external_stores.problems(given, spec, path)
    found += secret_refusals(spec, (name for name in _OF_GATEWAYS if given.get(name)), path)
    for pair in _PAIRS:
        if len(there := [name for name in pair if given.get(name)]) == 1:
            other = next(name for name in pair if name not in there)
            found.append(Refusal(f"{path}.{other}", None, f"is missing beside {there[0]}", remedy(other, spec)))
    return found


def _fault(name: str, value: object) -> str | None:
    """What is wrong with a secret's value, None when it may be good."""
    if not isinstance(value, str):
        return "must be text"
    if name in RANDOM:
        return check_key(value)
    if name == "admin_password":
        return check_password(value)
    if name.startswith("tls_"):
        return None if value.lstrip().startswith("-----BEGIN ") else "must be PEM"
    try:
        msgspec.convert(value, _SETTINGS[name])
    except msgspec.ValidationError:
        return "is not of a form that a gateway reads"
    return None


def remedy(name: str, spec: Deployment) -> str:
    """How a secret comes into the configuration."""
    if name in RANDOM or (name.startswith("tls_") and spec.edge.tls.source == "generated"):
        return "run `make init STACK=…`, which makes it"
    return f"pulumi config set --secret --path 'veloz:{CONFIG_KEY}.{name}'"
