"""One request from table entry to answer: who, how often, what was sent, the handler, what comes back.

The same table makes the routes (app/routes.py) and the OpenAPI document (app/openapi.py), so neither can know an operation
that the other does not.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Annotated, Any, Generic, TypeVar

import msgspec
from aiohttp import web

from app import params
from app.admission import admit
from app.audit import Actor
from app.errors import BadParams, Forbidden, VelozError
from app.keys import ADDRESS, REQUEST_ID, ROUTE, SERVICES, Services
from app.roles import Principal, Role

Q = TypeVar("Q")
B = TypeVar("B")

MAX_BODY = 65_536
JSON = "application/json"
FORM = "application/x-www-form-urlencoded"

Decimal = Annotated[msgspec.Raw, msgspec.Meta(extra_json_schema={"type": "number"})]
NullableDecimal = Annotated[msgspec.Raw, msgspec.Meta(extra_json_schema={"type": ["number", "null"]})]
PageSize = Annotated[int, msgspec.Meta(ge=1, le=500)]


class Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """No fields."""


class UnsupportedMediaType(VelozError):
    """The body is neither JSON nor a form."""

    code = "unsupported_media_type"
    status = HTTPStatus.UNSUPPORTED_MEDIA_TYPE


class PayloadTooLarge(VelozError):
    """The body has more than 64 KiB."""

    code = "payload_too_large"
    status = HTTPStatus.REQUEST_ENTITY_TOO_LARGE


class BadRequest(VelozError):
    """The request breaks the rules of HTTP."""

    code = "bad_request"
    status = HTTPStatus.BAD_REQUEST


class RequestTimeout(VelozError):
    """The body did not arrive in time."""

    code = "request_timeout"
    status = HTTPStatus.REQUEST_TIMEOUT


@dataclass(frozen=True)
class Call(Generic[Q, B]):
    """One request, understood."""

    request: web.Request
    services: Services
    principal: Principal
    query: Q
    body: B

    @property
    def actor(self) -> Actor:
        return Actor(self.principal.key_id, self.request[ADDRESS], self.request[REQUEST_ID])

    def account(self, named: str | None) -> str:
        """The account a request is about: its own, or for an admin the one it names. Raises Forbidden."""
        own = self.principal.account
        if named is None or named == own:
            return own
        if self.principal.role is not Role.ADMIN:
            raise Forbidden(f"the key belongs to account {own!r}; only an admin may name another")
        return str(named)


@dataclass(frozen=True)
class Operation:
    """An entry of the table. `role` None: no authentication. `weight` 0: not limited. `raises`: its own refusals."""

    method: str
    path: str
    handle: Callable[[Call[Any, Any]], Awaitable[Any]]
    summary: str
    tag: str
    answer: Any
    role: Role | None = Role.VIEWER
    weight: int = 1
    query: type = Nothing
    body: type | None = None
    status: int = 200
    raises: tuple[type[VelozError], ...] = ()
    content_type: str = JSON
    # Statuses besides `status` that carry the same answer.
    also: tuple[int, ...] = ()
    description: str = ""

    async def __call__(self, request: web.Request) -> web.StreamResponse:
        services = request.app[SERVICES]
        request[ROUTE] = self.path
        principal = await admit(request, services, self.role, self.weight)
        call = Call(request, services, principal, _query(request, self.query), await self._body(request))
        result = await self.handle(call)
        return result if isinstance(result, web.StreamResponse) else answer(result, self.status)

    async def _body(self, request: web.Request) -> Any:  # noqa: ANN401 - `self.body`
        if self.body is None:
            return None
        content = await _read(request)
        if not content:
            return params.to_struct({}, self.body, text=False)
        kind = request.content_type
        if kind == JSON:
            return params.to_struct(params.from_json(content), self.body, text=False)
        if kind == FORM:
            return params.to_struct(params.from_form(content), self.body, text=True)
        raise UnsupportedMediaType(f"Content-Type is {kind!r}; send {JSON} or {FORM}")


def answer(body: object, status: int = 200) -> web.Response:
    return web.Response(body=msgspec.json.encode(body), status=status, content_type=JSON)


def _query(request: web.Request, kind: type) -> Any:  # noqa: ANN401 - `kind`
    try:
        pairs = list(request.query.items())
    except ValueError as error:
        raise BadParams(f"the query cannot be read: {error}") from error
    return params.to_struct(params.from_pairs(pairs), kind, text=True)


async def _read(request: web.Request) -> bytes:
    if request.headers.get("Content-Encoding", "identity").lower() != "identity":
        raise UnsupportedMediaType("the body must not be compressed")
    try:
        async with asyncio.timeout(request.app[SERVICES].settings.header_timeout):
            return await request.read()
    except web.HTTPRequestEntityTooLarge as error:
        raise PayloadTooLarge(f"the body has more than {MAX_BODY} bytes") from error
    except web.RequestPayloadError as error:
        raise BadRequest(str(error)) from error
    except TimeoutError as error:
        raise RequestTimeout("the body did not arrive in time") from error
