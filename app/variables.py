"""A struct's fields as environment variables: names, conversion, refusals of variable, value, rule and remedy."""

from __future__ import annotations

import difflib
import math
import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

PREFIX = "VELOZ_"
_BOOLEANS = {"true": True, "1": True, "yes": True, "on": True, "false": False, "0": False, "no": False, "off": False}
# What Kubernetes and Docker put into the environment for a service that is itself called veloz.
_SERVICE_LINK = re.compile(
    r"VELOZ(_[A-Z0-9_]+)?_(SERVICE_HOST|SERVICE_PORT(_[A-Z0-9_]+)?|PORT|PORT_\d+_(TCP|UDP)(_(PROTO|PORT|ADDR))?)\Z"
)
_PLACEHOLDERS = (
    "change",
    "placeholder",
    "example",
    "your-",
    "your_",
    "secret",
    "password",
    "default",
    "api-key",
    "api_key",
)
_KEY = re.compile(r"[A-Za-z0-9._~+/=-]{43,256}")
_HEX = re.compile(r"[0-9A-Fa-f]+")
_HEX_DIGITS = 64
_MIN_DISTINCT = 10
_MIN_PASSWORD = 16
_MIN_DISTINCT_PASSWORD = 6


class Variable(msgspec.Struct, frozen=True):
    """One variable: its field, its rule in words, whether it is a secret (then NAME_FILE exists too)."""

    name: str
    field: str
    type: Any
    default: Any
    rule: str
    description: str
    secret: bool
    repeated: bool


class Problem(Exception):
    """One thing that is wrong: variable, value (None when secret or absent), rule, remedy."""

    def __init__(self, name: str, value: str | None, rule: str, remedy: str) -> None:
        shown = "" if value is None else f"={value if len(value) <= 80 else value[:80] + '…'!r}"  # noqa: PLR2004
        super().__init__(f"{name}{shown} {rule}; {remedy}")
        self.name = name
        self.value = value
        self.rule = rule
        self.remedy = remedy


class SettingsError(Exception):
    """Everything that is wrong with an environment."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(p) for p in self.problems))


def variables_of(struct: type[msgspec.Struct]) -> tuple[Variable, ...]:
    """The variables of a struct, in the order of its fields."""
    return tuple(_variable(field) for field in msgspec.structs.fields(struct))


def _variable(field: msgspec.structs.FieldInfo) -> Variable:
    info = msgspec.inspect.type_info(field.type)
    extra: dict[str, Any] = {}
    description = ""
    while isinstance(info, msgspec.inspect.Metadata):
        extra |= info.extra or {}
        description = (info.extra_json_schema or {}).get("description", description)
        info = info.type
    default = None if field.default is msgspec.NODEFAULT else field.default
    repeated = isinstance(info, msgspec.inspect.VarTupleType)
    return Variable(
        name=PREFIX + field.name.upper(),
        field=field.name,
        type=field.type,
        default=default,
        rule=rule(info),
        description=description,
        secret=bool(extra.get("secret")),
        repeated=repeated,
    )


def rule(info: msgspec.inspect.Type) -> str:  # noqa: PLR0911 - one for each type
    """What a value of a type must be, in words."""
    match info:
        case msgspec.inspect.Metadata():
            return rule(info.type)
        case msgspec.inspect.VarTupleType():
            return f"must be a comma-separated list in which each entry {rule(info.item_type)}"
        case msgspec.inspect.LiteralType():
            return f"must be one of {', '.join(map(str, info.values))}"
        case msgspec.inspect.BoolType():
            return "must be true or false"
        case msgspec.inspect.IntType():
            return "must be a whole number" + _bounds(info)
        case msgspec.inspect.FloatType():
            return "must be a number" + _bounds(info)
        case msgspec.inspect.StrType(pattern=str(pattern)):
            return f"must match {pattern}"
        case _:
            return "must be text of a fitting length"


def _bounds(info: msgspec.inspect.IntType | msgspec.inspect.FloatType) -> str:
    words = (("greater than", info.gt), ("at least", info.ge), ("less than", info.lt), ("at most", info.le))
    said = [f"{word} {bound}" for word, bound in words if bound is not None]
    return f", {' and '.join(said)}" if said else ""


def convert(variable: Variable, text: str) -> Any:  # noqa: ANN401 - the field's own type
    """The field's value of a variable's text. Raises Problem."""
    value: Any = [part.strip() for part in text.split(",") if part.strip()] if variable.repeated else text
    if variable.type is bool or variable.rule == "must be true or false":
        value = _BOOLEANS.get(text.lower(), text)
    try:
        result = msgspec.convert(value, variable.type, strict=False)
    except msgspec.ValidationError as error:
        raise _refusal(variable, text) from error
    if isinstance(result, float) and not math.isfinite(result):
        raise _refusal(variable, text)
    return result


def _refusal(variable: Variable, text: str) -> Problem:
    default = ",".join(variable.default) if isinstance(variable.default, tuple) else str(variable.default)
    remedy = "correct it, or leave it out" + (f" for {default}" if default not in {"", "None"} else "")
    if "://" in text and variable.name == "VELOZ_PORT":
        remedy = "a Kubernetes service link set it: give the pod enableServiceLinks: false, or VELOZ_PORT a number"
    return Problem(variable.name, None if variable.secret else text, variable.rule, remedy)


def unknown_variables(given: Mapping[str, str], variables: Iterable[Variable]) -> Iterator[Problem]:
    """A problem for each VELOZ_ variable that nothing reads, with the nearest name that is read."""
    known = {v.name for v in variables} | {v.name + "_FILE" for v in variables if v.secret}
    for name in sorted(given):
        if name.startswith(PREFIX) and name not in known and not _SERVICE_LINK.match(name):
            near = difflib.get_close_matches(name, known, n=1)
            yield Problem(name, None, "is not a setting", f"did you mean {near[0]}?" if near else "remove it")


def check_password(password: str) -> str | None:
    """What is wrong with a password, None when it may be good."""
    if len(password) < _MIN_PASSWORD:
        return f"must have at least {_MIN_PASSWORD} characters"
    if _is_placeholder(password) or len(set(password)) < _MIN_DISTINCT_PASSWORD:
        return "is a placeholder"
    return None


def _is_placeholder(text: str) -> bool:
    return any(word in text.lower() for word in _PLACEHOLDERS) or text in (text * 2)[1:-1]


def check_key(key: str) -> str | None:
    """What is wrong with an API key's text, None when it can be a random one of 256 bit."""
    if _is_placeholder(key) or len(set(key)) < _MIN_DISTINCT:
        return "is a placeholder"
    if not _KEY.fullmatch(key) or (_HEX.fullmatch(key) and len(key) < _HEX_DIGITS):
        return "must be a random key of at least 256 bit: 64 hexadecimal digits, or 43 of base64"
    return None
