"""The OpenAPI 3.1 document, made from the table of operations and the structs they take and give."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache
from typing import Any

import msgspec
from aiohttp import web

from app import __version__
from app.errors import (
    AuthenticationRequired,
    BadJson,
    BadParams,
    ExecutionUnavailable,
    Forbidden,
    InvalidApiKey,
    InvalidToken,
    RateLimitExceeded,
    VelozError,
)
from app.middleware import Envelope, HeadersTooLarge
from app.operation import (
    FORM,
    JSON,
    BadRequest,
    Call,
    Nothing,
    Operation,
    PayloadTooLarge,
    RequestTimeout,
    UnsupportedMediaType,
)
from app.params import SCHEMAS
from app.sessions import SessionsUnavailable

_REF = "#/components/schemas/{name}"
_EVERY: tuple[type[VelozError], ...] = (BadParams, PayloadTooLarge, HeadersTooLarge)
_CREDENTIAL: tuple[type[VelozError], ...] = (
    AuthenticationRequired,
    InvalidApiKey,
    InvalidToken,
    Forbidden,
    ExecutionUnavailable,
    SessionsUnavailable,
)
_BODY: tuple[type[VelozError], ...] = (BadRequest, BadJson, RequestTimeout, UnsupportedMediaType)
_DESCRIPTION = """\
Orders, their events and their accounts, over HTTP.

- **Credential**: an API key as `X-API-Key`, or a key or session token as `Authorization: Bearer`, or a session's cookie.
- **Numbers** are decimals: JSON numbers or strings going in, read by their text; exact JSON numbers coming out.
- **Bodies** are JSON or forms of at most 64 KiB. Unknown and repeated fields are refused.
- **Errors** are one envelope: `ok` false, `error` (a code), `message`, `request_id`. 504 `unknown`: ask again with the same
  `client_order_id`; the first answer is given again, for ever.
- **Lists** are newest first; `next` is the `cursor` of the next page, null on the last.
- **Limits**: every answer tells `X-RateLimit-Limit`, `-Used`, `-Remaining` and `-Reset` (Unix seconds); 429 and 503 tell
  `Retry-After`.
- **Events** at `/api/stream` have ids to resume after: `Last-Event-ID` or `last_id`.
"""
_TEXT = {"schema": {"type": "string"}}


async def document(call: Call[Nothing, Any]) -> web.Response:
    from app.routes import OPERATIONS  # noqa: PLC0415 - the table has this handler in it

    _ = call
    return web.Response(body=_encoded(OPERATIONS), content_type=JSON)


@cache
def _encoded(operations: tuple[Operation, ...]) -> bytes:
    return msgspec.json.encode(build(operations))


def build(operations: Iterable[Operation]) -> dict[str, Any]:
    """The whole document as JSON's own types."""
    operations = list(operations)
    kinds = [Envelope, *dict.fromkeys(kind for op in operations for kind in (op.answer, op.body) if kind is not None)]
    schemas, components = msgspec.json.schema_components(kinds, schema_hook=SCHEMAS.__getitem__, ref_template=_REF)
    by_kind = dict(zip(kinds, schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for op in operations:
        paths.setdefault(op.path, {})[op.method.lower()] = _operation(op, by_kind)
    return {
        "openapi": "3.1.0",
        "info": {"title": "VeloZ", "version": __version__, "description": _DESCRIPTION},
        "paths": paths,
        "components": {
            "schemas": components,
            "securitySchemes": {
                "key": {"type": "apiKey", "in": "header", "name": "X-API-Key"},
                "bearer": {"type": "http", "scheme": "bearer"},
                "cookie": {"type": "apiKey", "in": "cookie", "name": "veloz_session"},
            },
        },
    }


def _operation(op: Operation, schemas: dict[Any, dict[str, Any]]) -> dict[str, Any]:
    described: dict[str, Any] = {
        "operationId": f"{op.method.lower()}{op.path.replace('/', '_').replace('.', '_')}",
        "summary": op.summary,
        "tags": [op.tag],
        "responses": _responses(op, schemas),
    }
    if op.description:
        described["description"] = op.description
    if parameters := _parameters(op):
        described["parameters"] = parameters
    if op.body is not None:
        described["requestBody"] = {
            "required": any(field.required for field in msgspec.structs.fields(op.body)),
            "content": {kind: {"schema": schemas[op.body]} for kind in (JSON, FORM)},
        }
    if op.role is not None or op.path == "/api/auth/session":
        described["security"] = [{"key": []}, {"bearer": []}, {"cookie": []}]
    return described


def _parameters(op: Operation) -> list[dict[str, Any]]:
    if op.query is Nothing:
        return []
    (reference,), components = msgspec.json.schema_components([op.query], schema_hook=SCHEMAS.__getitem__)
    schema = components[reference["$ref"].rsplit("/", 1)[-1]]
    required = schema.get("required", [])
    return [
        {"name": name, "in": "query", "required": name in required, "schema": _inlined(of_type, components)}
        for name, of_type in schema["properties"].items()
    ]


def _inlined(schema: Any, components: dict[str, Any]) -> Any:  # noqa: ANN401 - JSON
    """A parameter's schema without references, and without null, which a query cannot say."""
    if isinstance(schema, list):
        return [_inlined(part, components) for part in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return _inlined(components[schema["$ref"].rsplit("/", 1)[-1]], components)
    parts = schema.get("anyOf")
    if parts is not None:
        kept = [part for part in parts if part != {"type": "null"}]
        if len(kept) == 1:
            return _inlined(kept[0], components)
        return {"anyOf": [_inlined(part, components) for part in kept]}
    return {name: _inlined(value, components) for name, value in schema.items() if name != "default"}


def _responses(op: Operation, schemas: dict[Any, dict[str, Any]]) -> dict[str, Any]:
    good: dict[str, Any] = {"description": "Done"}
    if op.answer is not None:
        good["content"] = {op.content_type: {"schema": schemas[op.answer]}}
    elif op.content_type == JSON:
        good["content"] = {JSON: {"schema": {"type": "object"}}}
    else:
        good["content"] = {op.content_type: _TEXT}
    responses = {str(status): good for status in (op.status, *op.also)}
    by_status: dict[str, list[str]] = {}
    for refusal in _refusals(op):
        codes = by_status.setdefault(str(int(refusal.status)), [])
        if refusal.code not in codes:
            codes.append(refusal.code)
    for status, codes in sorted(by_status.items()):
        if status not in responses:
            responses[status] = _refused(status, codes, schemas[Envelope])
    return responses


def _refusals(op: Operation) -> list[type[VelozError]]:
    refusals: list[type[VelozError]] = [*_EVERY, *op.raises]
    if op.weight or op.raises:
        refusals.append(RateLimitExceeded)
    if op.role is not None or AuthenticationRequired in op.raises:
        refusals += _CREDENTIAL
    elif op.raises:
        refusals.append(ExecutionUnavailable)
    if op.body is not None:
        refusals += _BODY
    return refusals


def _refused(status: str, codes: list[str], envelope: dict[str, Any]) -> dict[str, Any]:
    response: dict[str, Any] = {"description": ", ".join(codes), "content": {JSON: {"schema": envelope}}}
    if status in {"429", "503"}:
        response["headers"] = {"Retry-After": {"schema": {"type": "integer"}, "description": "seconds"}}
    return response
