"""From a stack file to a Deployment that passed every rule."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from types import MappingProxyType
from typing import Any, Final

import msgspec
import yaml

from stacks import checks, ports, shape
from stacks.refusals import Refusal, SpecError
from stacks.spec import Deployment

CONFIG_KEY: Final = "veloz:deployment"
SECRETS_KEY: Final = "veloz:secrets"
STACKS: Final = Path(__file__).parent / "config"
# Under this name Pulumi writes what it encrypted.
_ENCRYPTED: Final = "secure"
_BOOL: Final = "tag:yaml.org,2002:bool"
# Where a topology's usual differs from the model's.
_USUAL: Final[Mapping[str, Mapping[str, Any]]] = MappingProxyType(
    {
        "single": {
            "gateways": {"replicas": 1},
            "edge": {"http_port": ports.GATEWAY, "tls": {"source": "none"}},
            "postgres": {"store": "embedded"},
            "redis": {"store": "embedded"},
            "monitoring": {"prometheus": False, "grafana": False},
        },
        "compose": {},
        "kubernetes": {"edge": {"kind": "haproxy"}},
    }
)


def load(source: str | Mapping[str, Any] | None) -> Deployment:
    """Of a stack file's text, or of what stands in it under `veloz:deployment`. Raises SpecError with every refusal."""
    given = parse(source) if isinstance(source, str) else _mapping(source)
    topology = given.get("topology")
    whole = _merged(_USUAL[topology], given) if isinstance(topology, str) and topology in _USUAL else dict(given)
    try:
        spec = msgspec.convert(whole, Deployment)
    except msgspec.ValidationError as error:  # it names one fault; here all are wanted
        raise SpecError(shape.problems(Deployment, whole)) from error
    if wrong := list(checks.problems(spec)):
        raise SpecError(wrong)
    return spec


def read_stack(path: Path) -> Deployment:
    """Of a stack file, without the Pulumi CLI. Raises SpecError."""
    try:
        text = path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise SpecError([Refusal(str(path), None, f"cannot be read: {reason}", "run `make init STACK=…`")]) from error
    return load(text)


def parse(text: str) -> Mapping[str, Any]:
    """What a stack file says under `veloz:deployment`. Raises SpecError."""
    return _mapping(_config(text).get(CONFIG_KEY))


def secret_names(text: str) -> tuple[str, ...]:
    """The names of the secrets that a stack file has; nothing is decrypted. Raises SpecError where they are encrypted too."""
    found = _config(text).get(SECRETS_KEY)
    if not isinstance(found, Mapping):
        return ()
    if isinstance(found.get(_ENCRYPTED), str):
        rule = "is encrypted as a whole, so that its names cannot be read"
        remedy = f"set each secret by itself: pulumi config set --secret --path '{SECRETS_KEY}.NAME'"
        raise SpecError([Refusal(f"config.{SECRETS_KEY}", None, rule, remedy)])
    return tuple(str(name) for name, value in found.items() if value)


def _config(text: str) -> Mapping[str, Any]:
    try:
        document = yaml.load(text, Loader=_Loader)  # noqa: S506 - a SafeLoader
    except yaml.YAMLError as error:
        raise SpecError([Refusal("(the stack file)", None, f"is not YAML: {_line(error)}", "correct it")]) from error
    config = document.get("config") if isinstance(document, Mapping) else None
    return config if isinstance(config, Mapping) else {}


def _mapping(found: object) -> Mapping[str, Any]:
    if isinstance(found, Mapping):
        return found
    rule = "must be a mapping with at least `topology`"
    raise SpecError([Refusal(f"config.{CONFIG_KEY}", found, rule, "write it in the stack file")])


class _Loader(yaml.SafeLoader):
    """Of two values under one name it takes neither; and no word but true and false for a truth, as Pulumi does."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:  # noqa: FBT001, FBT002
        seen = set()
        for key in (key for key, _ in node.value if isinstance(key, yaml.ScalarNode)):
            if key.value in seen:
                raise yaml.constructor.ConstructorError(None, None, f"{key.value} stands there twice", key.start_mark)
            seen.add(key.value)
        return super().construct_mapping(node, deep=deep)


_Loader.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if tag != _BOOL]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
_Loader.add_implicit_resolver(_BOOL, re.compile(r"^(?:true|True|TRUE|false|False|FALSE)\Z"), list("tTfF"))


def _line(error: yaml.YAMLError) -> str:
    if isinstance(error, yaml.MarkedYAMLError) and error.problem_mark is not None:
        return f"{error.problem} in line {error.problem_mark.line + 1}"
    return str(error).replace("\n", " ")


def _merged(usual: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """`given`, and below it what is usual."""
    whole = {**usual, **given}
    for name, value in usual.items():
        if isinstance(value, Mapping) and isinstance(given.get(name), Mapping):
            whole[name] = _merged(value, given[name])
    return whole
