"""What clients send, read exactly and completely: JSON, forms and queries into structs, or a refusal.

Numbers keep their text on the way from the body to the parser of decimals: none passes through a float. Unknown, repeated and
missing fields are refused, because a misspelt field that is ignored changes what an order means.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable
from functools import cache
from typing import Any, NoReturn, TypeVar
from urllib.parse import parse_qsl

import msgspec

from app.errors import BadJson, BadParams
from app.money import MAX_UNITS, parse_units

T = TypeVar("T")

TOKEN = re.compile(r"[A-Za-z0-9._:/-]{1,64}", re.ASCII)
_WHOLE = re.compile(r"[0-9]{1,19}", re.ASCII)
_PATH = re.compile(r" - at `\$\.?(.*)`\Z", re.DOTALL)
_SURROGATE = re.compile(rb"\\u[dD][89a-fA-F]")
_MAX_FIELDS = 64
_SHOWN = 60


class Token(str):
    """A name, id or reason: `[A-Za-z0-9._:/-]{1,64}`."""

    __slots__ = ()


class Amount(int):
    """A non-negative decimal, in 1e-8 units."""

    __slots__ = ()


class AccountOrAll(str):
    """An account's name, or `*` for all of them."""

    __slots__ = ()


class Whole(int):
    """A non-negative whole number of at most 64 bits, as JSON number or string."""

    __slots__ = ()


class Scalar(str):
    """A whole number's text or a word, whichever came."""

    __slots__ = ()


class Number:
    """A JSON number's text."""

    __slots__ = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text

    def __repr__(self) -> str:
        return self.text


SCHEMAS: dict[type, dict[str, Any]] = {
    Scalar: {"anyOf": [{"type": "string", "pattern": "^[A-Za-z0-9._:/-]{1,64}$"}, {"type": "integer", "minimum": 0}]},
    AccountOrAll: {"type": "string", "pattern": r"^([A-Za-z0-9._:/-]{1,64}|\*)$", "maxLength": 64},
    Token: {"type": "string", "pattern": "^[A-Za-z0-9._:/-]{1,64}$", "maxLength": 64},
    Amount: {
        "description": "A plain decimal, read by its text: at most 20 digits, at most 8 after the point, no sign, no exponent",
        "anyOf": [
            {"type": "string", "pattern": r"^[0-9]{1,11}(\.[0-9]{1,8})?$", "maxLength": 20},
            {"type": "number", "minimum": 0, "maximum": 92_233_720_368},
        ],
    },
    Whole: {
        "anyOf": [
            {"type": "string", "pattern": "^[0-9]{1,18}$", "maxLength": 18},
            {"type": "integer", "minimum": 0, "maximum": 2**63 - 1},
        ]
    },
}


def from_json(body: bytes) -> dict[str, Any]:
    """The object a body holds, numbers as their text. Raises BadJson."""
    if _SURROGATE.search(body):
        raise BadJson("the body escapes surrogates; no field takes characters beyond ASCII")
    try:
        value = json.loads(
            body.decode(),
            parse_float=Number,
            parse_int=Number,
            parse_constant=_no_constant,
            object_pairs_hook=lambda pairs: _unique(pairs, BadJson),
        )
    except UnicodeDecodeError as error:
        raise BadJson(f"the body is not UTF-8: {error.reason} at byte {error.start}") from error
    except RecursionError as error:
        raise BadJson("the body is nested too deeply") from error
    except ValueError as error:
        raise BadJson(f"the body is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise BadJson("the body must be a JSON object")
    return value


def from_form(body: bytes) -> dict[str, Any]:
    """The fields of an `application/x-www-form-urlencoded` body. Raises BadParams."""
    try:
        pairs = parse_qsl(
            body.decode("ascii"),
            keep_blank_values=True,
            strict_parsing=True,
            errors="strict",
            max_num_fields=_MAX_FIELDS,
        )
    except ValueError as error:
        raise BadParams(f"the body is not a form: {error}") from error
    return _unique(pairs, BadParams)


def from_pairs(pairs: Iterable[tuple[str, str]]) -> dict[str, Any]:
    """A query's fields. Raises BadParams when one is repeated."""
    return _unique(pairs, BadParams)


def to_struct(values: dict[str, Any], kind: type[T], *, text: bool) -> T:
    """Values as a struct; with `text` whole numbers and booleans are words, as in a form or query. Raises BadParams."""
    read = _from_words(values, kind) if text else values
    try:
        return msgspec.convert(read, kind, dec_hook=_decode)
    except msgspec.ValidationError as error:
        raise BadParams(_explain(str(error), values)) from error


def _from_words(values: dict[str, Any], kind: type) -> dict[str, Any]:
    """Words as what the fields want; what is no such word stays, to be refused. (msgspec's own lax mode reads `null` as None.)"""
    words = _words(kind)
    return {
        name: words[name](value) if name in words and isinstance(value, str) else value
        for name, value in values.items()
    }


@cache
def _words(kind: type) -> dict[str, Callable[[str], object]]:
    """The fields of a struct that are whole numbers or booleans, and how their words are read."""
    info = msgspec.inspect.type_info(kind)
    if not isinstance(info, msgspec.inspect.StructType):
        return {}
    found: dict[str, Callable[[str], object]] = {}
    for field in info.fields:
        types = field.type.types if isinstance(field.type, msgspec.inspect.UnionType) else (field.type,)
        if any(isinstance(one, msgspec.inspect.BoolType) for one in types):
            found[field.encode_name] = lambda word: {"true": True, "false": False}.get(word, word)
        elif any(isinstance(one, msgspec.inspect.IntType) for one in types):
            found[field.encode_name] = lambda word: int(word) if _WHOLE.fullmatch(word) else word
    return found


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not a JSON number")


def _unique(pairs: Iterable[tuple[str, Any]], refusal: type[BadJson | BadParams]) -> dict[str, Any]:
    values: dict[str, Any] = {}
    for name, value in pairs:
        if name in values:
            raise refusal(f"{name[:_SHOWN]!a} is given twice")
        values[name] = value
    return values


def _decode(kind: type, value: object) -> object:
    text = value.text if isinstance(value, Number) else value
    if kind is Amount and isinstance(text, str):
        return Amount(parse_units(text))
    if kind is Whole and isinstance(text, str) and _WHOLE.fullmatch(text) and int(text) <= MAX_UNITS:
        return Whole(text)
    if kind is Token and isinstance(value, str) and TOKEN.fullmatch(value):
        return Token(value)
    if kind is AccountOrAll and isinstance(value, str) and (value == "*" or TOKEN.fullmatch(value)):
        return AccountOrAll(value)
    if kind is Scalar and isinstance(text, str) and TOKEN.fullmatch(text):
        return Scalar(text)
    raise ValueError(_RULES[kind])


_RULES: dict[type, str] = {
    Amount: "must be a plain decimal, as JSON number or string",
    Whole: "must be a whole number from 0 to 9223372036854775807",
    Scalar: "must be a whole number or a word",
    AccountOrAll: "must be an account's name, or * for all",
    Token: "must be 1 to 64 of the characters A-Z a-z 0-9 . _ : / -",
}


def _explain(message: str, values: dict[str, Any]) -> str:
    """`Expected … - at `$.qty`` as `qty is '…': expected …`."""
    found = _PATH.search(message)
    if found is None:
        return message
    path, rule = found.group(1), message[: found.start()]
    name = path.split(".")[0].split("[")[0]
    if name not in values or "." in path or "[" in path:
        return f"{path[:_SHOWN]!a}: {rule}"
    shown = repr(values[name])
    return f"{path} is {shown if len(shown) <= _SHOWN else shown[:_SHOWN] + '…'}: {rule}"
