"""Plain data against the types of the model, field by field, so that all that is wrong is said at once."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from app.variables import rule
from stacks.refusals import Refusal


def problems(kind: Any, value: object, path: str = "") -> Iterator[Refusal]:  # noqa: ANN401 - any type
    """What of `value` does not fit `kind`, a struct or the type of a field."""
    info = msgspec.inspect.type_info(kind)
    while isinstance(info, msgspec.inspect.Metadata):
        info = info.type
    if isinstance(info, msgspec.inspect.UnionType):  # a struct or None
        structs = [one for one in info.types if isinstance(one, msgspec.inspect.StructType)]
        if structs and value is not None:
            info = structs[0]
    if isinstance(info, msgspec.inspect.StructType):
        yield from _struct(info, value, path)
    elif isinstance(info, msgspec.inspect.DictType) and isinstance(value, Mapping):
        yield from _mapping(kind, value, path)
    elif (entry := _entry(info)) is not None and isinstance(value, list):
        for number, one in enumerate(value):
            yield from problems(entry, one, f"{path}[{number}]")
    else:
        yield from _leaf(kind, value, path)


def _struct(info: msgspec.inspect.StructType, value: object, path: str) -> Iterator[Refusal]:
    if not isinstance(value, Mapping):
        yield Refusal(path or "(the description)", value, "must be a mapping of names to values", "correct it")
        return
    known = {field.name: field for field in msgspec.structs.fields(info.cls)}
    for name in value:
        if name not in known:
            near = difflib.get_close_matches(str(name), known, n=1)
            remedy = f"did you mean {near[0]}?" if near else f"remove it; there are {', '.join(known)}"
            yield Refusal(_join(path, name), value[name], "there is no such field", remedy)
    for name, field in known.items():
        if name in value:
            yield from problems(field.type, value[name], _join(path, name))
        elif field.required:
            yield Refusal(_join(path, name), None, "is required", f"it {_words(field.type)}")


def _mapping(kind: Any, value: Mapping[Any, Any], path: str) -> Iterator[Refusal]:  # noqa: ANN401
    keys, values = _arguments(kind)
    for name in value:
        try:
            msgspec.convert(name, keys)
        except msgspec.ValidationError:
            yield Refusal(_join(path, name), None, f"its name {_words(keys)}", "correct it, or remove it")
        else:
            yield from problems(values, value[name], _join(path, name))


def _entry(info: msgspec.inspect.Type) -> type[msgspec.Struct] | None:
    """What a list has, where its entries have fields of their own."""
    if isinstance(info, msgspec.inspect.VarTupleType) and isinstance(info.item_type, msgspec.inspect.StructType):
        return info.item_type.cls
    return None


def _arguments(kind: Any) -> tuple[Any, Any]:  # noqa: ANN401
    while not hasattr(kind, "__args__") or hasattr(kind, "__metadata__"):
        kind = kind.__origin__
    keys, values = kind.__args__
    return keys, values


def _leaf(kind: Any, value: object, path: str) -> Iterator[Refusal]:  # noqa: ANN401
    try:
        msgspec.convert(value, kind)
    except msgspec.ValidationError:
        yield Refusal(path, value, _words(kind), "correct it, or leave it out")


def _words(kind: Any) -> str:  # noqa: ANN401
    return _rule(msgspec.inspect.type_info(kind))


def _rule(info: msgspec.inspect.Type) -> str:
    """In words, for a file that has lists and absent values."""
    match info:
        case msgspec.inspect.Metadata():  # a title where the pattern would say too little
            title = (info.extra_json_schema or {}).get("title")
            return f"must be {title}" if title else _rule(info.type)
        case msgspec.inspect.VarTupleType() | msgspec.inspect.ListType():
            return f"must be a list in which each entry {_rule(info.item_type)}"
        case msgspec.inspect.DictType() | msgspec.inspect.StructType():
            return "must be a mapping of names to values"
        case msgspec.inspect.UnionType():
            every = [_rule(one) for one in info.types if not isinstance(one, msgspec.inspect.NoneType)]
            return "must be " + ", or ".join(words.removeprefix("must be ") for words in every)
        case msgspec.inspect.StrType(pattern=None):
            return "must be text"
        case _:
            return rule(info)


def _join(path: str, name: object) -> str:
    return f"{path}.{name}" if path else str(name)
