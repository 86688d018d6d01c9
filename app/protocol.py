"""The HTTP server below the application: what aiohttp answers by itself becomes an envelope, and heads must come in time."""

from __future__ import annotations

import asyncio
import logging
import socket
import time
import uuid
from http import HTTPStatus
from typing import Any

from aiohttp import web
from aiohttp.http_exceptions import LineTooLong
from aiohttp.web_protocol import RequestHandler, _ErrInfo

from app.middleware import plain_envelope
from app.ring import Signal

_LOG = logging.getLogger("veloz.http")
MAX_LINE = 8190
# What is still coming of a body that was refused is read for so many seconds, so that the answer is not lost.
LINGER = 2.0
# A peer that lets no answer through for so many seconds is given up.
STALL = 30.0


def give_up_after(transport: asyncio.BaseTransport, seconds: float) -> None:
    """The kernel ends the connection when its peer acknowledges nothing, or keeps its window shut, for so long."""
    connection = transport.get_extra_info("socket")
    if connection is not None and connection.family in {socket.AF_INET, socket.AF_INET6}:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(seconds * 1000))


class EdgeProtocol(RequestHandler):
    """One connection. A peer that began a request has `header_timeout` seconds for its head."""

    __slots__ = ("_head_deadline", "_header_timeout")

    def __init__(self, *args: Any, header_timeout: float, **kwargs: Any) -> None:  # noqa: ANN401 - aiohttp's own
        super().__init__(*args, **kwargs)
        self._header_timeout = header_timeout
        self._head_deadline: asyncio.TimerHandle | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        give_up_after(transport, STALL)
        self._expect_head()

    def data_received(self, data: bytes) -> None:
        before = self._request_count
        super().data_received(data)
        if self._messages and isinstance(self._messages[-1][0], _ErrInfo) and self._current_request is not None:
            # The body of the request being handled went wrong: it must not wait for more of it.
            self._messages.clear()
            self._current_request.content.set_exception(web.RequestPayloadError("the body breaks the rules of HTTP"))
            self.close()
        if self._request_count > before:
            self._head_arrived()
        elif self._waiter is not None and self._head_deadline is None:
            self._expect_head()

    def connection_lost(self, exc: BaseException | None) -> None:
        self._head_arrived()
        super().connection_lost(exc)

    def _expect_head(self) -> None:
        loop = asyncio.get_running_loop()
        self._head_deadline = loop.call_later(self._header_timeout, self._too_late)

    def _head_arrived(self) -> None:
        if self._head_deadline is not None:
            self._head_deadline.cancel()
            self._head_deadline = None

    def _too_late(self) -> None:
        self._head_deadline = None
        self.force_close()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """What the parser refuses, and what no middleware saw."""
        if isinstance(exc, ConnectionError):
            raise exc  # the client is gone
        if request.writer.output_size > 0:
            raise ConnectionError("the answer had begun when it failed") from exc
        if status >= HTTPStatus.INTERNAL_SERVER_ERROR:
            _LOG.error("a request failed below the application", exc_info=exc)
            message = "an internal error; the log has it under this request_id"
        if isinstance(exc, LineTooLong):
            status, message = HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "the request line or a header is too long"
        text = (message or "the request is not HTTP").splitlines()[0][:200]
        response = plain_envelope(status, text, uuid.uuid4().hex)
        response.force_close()
        return response


class EdgeServer(web.Server):
    """Makes an EdgeProtocol for each connection."""

    header_timeout = 10.0

    def __init__(self, *args: Any, **kwargs: Any) -> None:  # noqa: ANN401 - aiohttp's own
        super().__init__(*args, **kwargs)
        self.closed = Signal()  # woken when a connection ended

    def connection_lost(self, handler: RequestHandler, exc: BaseException | None = None) -> None:
        super().connection_lost(handler, exc)
        self.closed.wake()

    def __call__(self) -> EdgeProtocol:
        return EdgeProtocol(self, loop=self._loop, header_timeout=self.header_timeout, **self._kwargs)


class EdgeRunner(web.AppRunner):
    """An AppRunner whose server is an EdgeServer."""

    def __init__(self, app: web.Application, *, header_timeout: float, **kwargs: Any) -> None:  # noqa: ANN401 - aiohttp's own
        super().__init__(
            app, max_line_size=MAX_LINE, max_field_size=MAX_LINE, auto_decompress=False, lingering_time=LINGER, **kwargs
        )
        self._header_timeout = header_timeout

    async def deserted(self, timeout: float) -> None:
        """Return when no connection is left, or after `timeout` seconds."""
        deadline = time.monotonic() + timeout
        server = self.server
        while isinstance(server, EdgeServer) and server.connections and (left := deadline - time.monotonic()) > 0:
            await Signal.wait_any([server.closed], left)

    async def _make_server(self) -> web.Server:
        made = await super()._make_server()
        handle = made.request_handler

        async def enveloped(request: web.BaseRequest) -> web.StreamResponse:
            """What aiohttp refuses before any middleware: an expectation it does not know."""
            try:
                return await handle(request)
            except web.HTTPException as error:
                return plain_envelope(error.status, error.text or error.reason, uuid.uuid4().hex)

        server = EdgeServer(
            enveloped,
            request_factory=made.request_factory,
            loop=asyncio.get_running_loop(),
            **made._kwargs,  # noqa: SLF001 - the server takes what the application prepared
        )
        server.header_timeout = self._header_timeout
        return server
