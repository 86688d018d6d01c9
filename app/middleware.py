"""Around every request: its id, its address, one envelope for whatever goes wrong, the headers every answer has."""

from __future__ import annotations

import logging
import math
import time
import uuid
from collections.abc import Awaitable, Callable
from http import HTTPStatus
from typing import TypeAlias

import msgspec
from aiohttp import web

from app.address import client_address
from app.admission import admit
from app.borrow import DATABASE_AWAY
from app.errors import ExecutionUnavailable, RiskRejected, VelozError
from app.keys import ADDRESS, HEADERS, REQUEST_ID, ROUTE, SERVICES, Services
from app.logs import REQUEST_ID as LOGGED_ID
from app.operation import JSON, MAX_BODY, PayloadTooLarge
from app.params import TOKEN

MAX_HEAD = 8192

Handler: TypeAlias = Callable[[web.Request], Awaitable[web.StreamResponse]]

_LOG = logging.getLogger("veloz.http")
_CODES = {
    HTTPStatus.NOT_FOUND: "not_found",
    HTTPStatus.METHOD_NOT_ALLOWED: "method_not_allowed",
    HTTPStatus.REQUEST_ENTITY_TOO_LARGE: "payload_too_large",
    HTTPStatus.EXPECTATION_FAILED: "expectation_failed",
    HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE: "headers_too_large",
    HTTPStatus.INTERNAL_SERVER_ERROR: "internal",
}
_FIXED = {"Server": "veloz", "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"}


class HeadersTooLarge(VelozError):
    """The headers together have more than 8 KiB."""

    code = "headers_too_large"
    status = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE


class Envelope(msgspec.Struct, frozen=True, omit_defaults=True):
    """The answer to every request that was refused or failed. `reason`, `client_order_id`, `seq`: of a rejected order."""

    ok: bool
    error: str
    message: str
    request_id: str
    reason: str | None = None
    client_order_id: str | None = None
    seq: int | None = None


def envelope(error: VelozError, request_id: str) -> web.Response:
    """A refusal as an answer."""
    body = Envelope(False, error.code, error.message, request_id)
    if isinstance(error, RiskRejected):
        body = msgspec.structs.replace(body, reason=error.reason, client_order_id=error.client_order_id, seq=error.seq)
    retry = getattr(error, "retry_after", None)
    headers = {} if retry is None else {"Retry-After": str(max(1, math.ceil(retry)))}
    if error.status is HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = "Bearer"
    return _response(body, error.status, headers)


def plain_envelope(status: int, message: str, request_id: str, allow: str | None = None) -> web.Response:
    """An answer to what aiohttp itself refuses."""
    code = _CODES.get(HTTPStatus(status), "bad_request")
    headers = {**_FIXED, "X-Request-ID": request_id} | ({"Allow": allow} if allow else {})
    return _response(Envelope(False, code, message, request_id), status, headers)


def _response(body: Envelope, status: int, headers: dict[str, str]) -> web.Response:
    return web.Response(body=msgspec.json.encode(body), status=status, content_type=JSON, headers=headers)


def new_request_id(given: str | None) -> str:
    return given if given is not None and TOKEN.fullmatch(given) else uuid.uuid4().hex


@web.middleware
async def edge(request: web.Request, handler: Handler) -> web.StreamResponse:
    """The outermost layer: nothing leaves it but an answer."""
    services = request.app[SERVICES]
    started = time.perf_counter()
    request_id = request[REQUEST_ID] = new_request_id(request.headers.get("X-Request-ID"))
    request[ADDRESS] = client_address(request, services.proxies)
    request[HEADERS] = {}
    token = LOGGED_ID.set(request_id)
    try:
        response = await _answered(request, handler, services, request_id)
        if not response.prepared:
            if services.lifecycle.draining:
                response.force_close()  # the next request goes to another gateway, not to a connection about to end
            finish(request, response)
            labels = (
                request.method if request.get(ROUTE) else "other",
                request.get(ROUTE, "none"),
                str(response.status),
            )
            services.metrics.http_seconds.labels(*labels).observe(time.perf_counter() - started)
        return response
    finally:
        LOGGED_ID.reset(token)


def finish(request: web.Request, response: web.StreamResponse) -> None:
    """The headers that every answer has; a stream calls it before it begins."""
    headers: dict[str, str] = request[HEADERS]
    for name, value in {**_FIXED, **headers, "X-Request-ID": request[REQUEST_ID]}.items():
        response.headers.setdefault(name, value)


async def _answered(request: web.Request, handler: Handler, services: Services, request_id: str) -> web.StreamResponse:
    try:
        await _check_size(request, services)
        if request.match_info.http_exception is not None:  # unknown paths and methods are limited too
            await admit(request, services, None, 1)
        return await handler(request)
    except VelozError as error:
        services.metrics.denied.labels(error.code).inc()
        return envelope(error, request_id)
    except web.HTTPException as error:
        message = _message(request, error)
        return plain_envelope(error.status, message, request_id, error.headers.get("Allow"))
    except DATABASE_AWAY as error:
        _LOG.warning("the database does not answer", extra={"why": str(error), "path": request.path})
        return envelope(ExecutionUnavailable("the database does not answer; try again"), request_id)
    except ConnectionError:
        raise  # the client is gone: there is nobody to answer
    except Exception:  # noqa: BLE001 - nothing may leave without an envelope; each is logged and counted as a defect
        services.metrics.internal_errors.inc()
        _LOG.exception("a request failed", extra={"method": request.method, "path": request.path})
        if request.writer.output_size > 0:
            raise ConnectionError("the answer had begun when it failed") from None
        return plain_envelope(500, "an internal error; the log has it under this request_id", request_id)


async def _check_size(request: web.Request, services: Services) -> None:
    """Refuse what is too large, counted like any other request."""
    refusal: VelozError
    if (request.content_length or 0) > MAX_BODY:
        refusal = PayloadTooLarge(f"the body has more than {MAX_BODY} bytes")
    elif sum(len(name) + len(value) + 4 for name, value in request.raw_headers) > MAX_HEAD:
        refusal = HeadersTooLarge(f"the headers have more than {MAX_HEAD} bytes")
    else:
        return
    await admit(request, services, None, 1)
    raise refusal


def _message(request: web.Request, error: web.HTTPException) -> str:
    if isinstance(error, web.HTTPMethodNotAllowed):
        return f"{request.path} takes {', '.join(sorted(error.allowed_methods))}"
    if error.status == HTTPStatus.NOT_FOUND:
        return "there is nothing at this path; /api/openapi.json lists what there is"
    return error.text or error.reason
