"""Rules for secrets: none in an environment or on a command line, none in plain sight of the state."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from typing import Final, NamedTuple

from app.settings import VARIABLES
from stacks.environment import SECRETS_DIR
from stacks.rules.model import CONTAINER, Given, Resource, Rule, is_secret, items, known, mapping
from stacks.rules.pods import PODS, boxes, place, pod

SECRET_OBJECT: Final = "kubernetes:core/v1:Secret"  # noqa: S105
CONFIG_MAP: Final = "kubernetes:core/v1:ConfigMap"
# What the source document keeps in veloz-secrets though it is none.
NOT_SECRET: Final = frozenset({"execution-mode"})
_LEAST = 8  # a shorter value is found in any text
_NAME = re.compile(
    r"(PASSWORD|PASSPHRASE|SECRET|TOKEN|CREDENTIALS?|DSN|(API|PRIVATE|SECRET|ACCESS|SIGNING)[_-]?KEY)$",
    re.IGNORECASE,
)
# Not a secret: where it is (stacks/stores.py, stacks/monitoring/grafana.py).
_PLACE = re.compile(rf"see {SECRETS_DIR}/\w+|\$__file\{{{SECRETS_DIR}/\w+\}}")
_PRIVATE_KEY = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----")
_PASSWORD_IN_URL = re.compile(r"[a-z][a-z0-9+.-]*://[^/\s:@]*:[^/\s:@]+@")
_EACH = "*"
# Where Docker and a cluster show a value to whoever may look at an object, and a host to whoever may list its processes.
_SHOWN_DOCKER = (("command",), ("entrypoints",), ("healthcheck", "tests"), ("labels",))
_SHOWN_MAP = (("data",), ("binaryData",))
_SHOWN_BOX = (
    ("command",),
    ("args",),
    *((probe, "exec", "command") for probe in ("livenessProbe", "readinessProbe", "startupProbe")),
    *(("lifecycle", moment, "exec", "command") for moment in ("postStart", "preStop")),
)
_OURS = frozenset(variable.name for variable in VARIABLES if variable.secret)


class Entry(NamedTuple):
    """One variable of a container's environment; `value` None: it is not plain text, `origin` says what it is."""

    name: str
    value: str | None
    origin: str = ""


def _docker(resource: Resource) -> Iterator[Entry]:
    # A list with one secret in it is a secret as a whole.
    if is_secret(resource.inputs.get("envs")):
        yield Entry("an entry", None, "a secret")
    for text in items(resource.inputs.get("envs")):
        if is_secret(text):
            yield Entry("an entry", None, "a secret")
        elif known(text):
            name, _, value = str(text).partition("=")
            yield Entry(name, value)


def _kubernetes(resource: Resource) -> Iterator[Entry]:
    if is_secret(pod(resource).get("containers")):
        yield Entry("an entry", None, "a secret, which hides the containers as a whole")
    for box in boxes(resource):
        if is_secret(box.spec.get("env")):
            yield Entry("an entry", None, "a secret")
        for entry in map(mapping, items(box.spec.get("env"))):
            reference = mapping(mapping(entry.get("valueFrom")).get("secretKeyRef"))
            if reference and reference.get("key") not in NOT_SECRET:
                yield Entry(str(entry.get("name")), None, f"the secret {reference.get('name')}")
            elif is_secret(entry.get("value")):
                yield Entry(str(entry.get("name")), None, "a secret")
            elif not entry.get("valueFrom"):
                yield Entry(str(entry.get("name")), str(entry.get("value") or ""))
        for source in map(mapping, items(box.spec.get("envFrom"))):
            if name := mapping(source.get("secretRef")).get("name"):
                yield Entry("envFrom", None, f"the secret {name}")


def _environment(resource: Resource, given: Given) -> Iterator[str]:
    for entry in _docker(resource) if resource.type == CONTAINER else _kubernetes(resource):
        if entry.value is None:
            yield f"{entry.name} of its environment is {entry.origin}"
        elif _PLACE.fullmatch(entry.value):
            continue
        elif entry.value and (_NAME.search(entry.name) or entry.name in _OURS):
            yield f"{entry.name} of its environment is named like a secret"
        elif problem := _plain(entry.value, given):
            yield f"{entry.name} of its environment {problem}"


def _shown(resource: Resource) -> Iterator[tuple[str, ...]]:
    if resource.type == CONTAINER:
        yield from _SHOWN_DOCKER
    elif resource.type == CONFIG_MAP:
        yield from _SHOWN_MAP
    else:
        for boxes_of in ("containers", "initContainers"):
            for way in _SHOWN_BOX:
                yield (*place(resource), boxes_of, _EACH, *way)


def _marked(value: object, way: tuple[str, ...], path: str = "") -> Iterator[str]:
    """Path of every secret at the end of `way`, or on it: that one hides what comes after."""
    if is_secret(value):
        yield path
    elif isinstance(value, Mapping):
        for key, inner in value.items():
            if not way or key == way[0]:
                yield from _marked(inner, way[1:], f"{path}.{key}" if path else str(key))
    elif not way or way[0] == _EACH:
        for index, inner in enumerate(items(value)):
            yield from _marked(inner, way[1:], f"{path}[{index}]")


def _command(resource: Resource, _given: Given) -> Iterator[str]:
    # One that hides several places is found on the way to each.
    for path in dict.fromkeys(path for way in _shown(resource) for path in _marked(resource.inputs, way)):
        yield f"{path} is a secret, or has one in it"


def _leaves(value: object, path: str = "") -> Iterator[tuple[str, str]]:
    """(path, text) of every text that is not encrypted in the state."""
    if is_secret(value):
        return
    if isinstance(value, Mapping):
        for key, inner in value.items():
            yield from _leaves(inner, f"{path}.{key}" if path else str(key))
    elif isinstance(value, list | tuple):
        for index, inner in enumerate(value):
            yield from _leaves(inner, f"{path}[{index}]")
    elif isinstance(value, str):
        yield path, value


def _plain(text: str, given: Given) -> str:
    if any(len(secret) >= _LEAST and secret in text for secret in given.secrets):
        return "holds a secret of this stack"
    if _PRIVATE_KEY.search(text):
        return "holds a private key"
    return "holds a password in an address" if _PASSWORD_IN_URL.search(text) else ""


def _state(resource: Resource, given: Given) -> Iterator[str]:
    # Where secrets are not recognisable as such, an encrypted one cannot be told from a plain one.
    if not given.marked:
        return
    for path, text in _leaves(resource.inputs):
        if problem := _plain(text, given):
            yield f"{path} {problem}, unencrypted in the state"
        elif text and known(text) and _NAME.search(path) and not path.endswith(("secretName", "tokenName")):
            yield f"{path} is named like a secret, and unencrypted in the state"


def _secret_object(resource: Resource, given: Given) -> Iterator[str]:
    if not given.marked:
        return
    for field in ("data", "stringData"):
        for path, text in _leaves(resource.inputs.get(field)):
            if known(text) and path not in NOT_SECRET:
                yield f"{field}.{path} is unencrypted in the state"


RULES: Final = (
    Rule("secret-environment", "No secret is in an environment", "Give the path of a file: NAME_FILE=/run/veloz/…",
         frozenset({CONTAINER}) | PODS, _environment),
    Rule("secret-command", "No secret is on a command line, in a label or in a ConfigMap",
         "Put it into a file, from a Secret or by an upload, and give the file's path.",
         frozenset({CONTAINER, CONFIG_MAP}) | PODS, _command),
    Rule("secret-state", "No secret is in the state in plain text", "Make it an Output.secret where it enters.",
         None, _state),
    Rule("secret-object", "What a Secret holds is encrypted in the state", "Make it an Output.secret where it enters.",
         frozenset({SECRET_OBJECT}), _secret_object),
)  # fmt: skip
