"""What clients may send through either balancer: sizes, methods, addresses, and one length."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Final

import pytest

from app.middleware import MAX_HEAD
from app.operation import MAX_BODY
from stacks.balancer import Kind
from stacks.programs import Program, find
from tests.stacks.front import front, raw, secured

_POST: Final = b"POST /order HTTP/1.1\r\nHost: x\r\n"
_SMUGGLED: Final = b"GET /smuggled HTTP/1.1\r\nHost: x\r\n\r\n"
# Read by Content-Length the smuggled request is in the body; read in chunks it comes after it.
_CHUNKED: Final = b"\r\n0\r\n\r\n" + _SMUGGLED
_LENGTH: Final = b"Content-Length: %d\r\n" % (len(_CHUNKED) - 2)
# Read in chunks the smuggled request is in the body; read by Content-Length it comes after it.
_IN_CHUNKS: Final = b"\r\n%x\r\n%s\r\n0\r\n\r\n" % (len(_SMUGGLED), _SMUGGLED)
_SHORT: Final = b"Content-Length: 4\r\n"
# How Transfer-Encoding is written so that one side reads it and another does not.
_WRITTEN: Final = (
    b"Transfer-Encoding: chunked\r\n",
    b"transfer-encoding: CHUNKED\r\n",
    b"Transfer-Encoding : chunked\r\n",
    b"Transfer-Encoding:\tchunked\r\n",
    b"Transfer-Encoding:\x0bchunked\r\n",
    b"Transfer-Encoding: \x00chunked\r\n",
    b"Transfer-Encoding:\r\n chunked\r\n",
    b"Transfer-Encoding\r\n: chunked\r\n",
    b"X: x\nTransfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: xchunked\r\n",
    b'Transfer-Encoding: "chunked"\r\n',
    b"Transfer-Encoding: identity\r\n",
    b"Transfer-Encoding: chunked, identity\r\n",
    b"Transfer-Encoding: identity, chunked\r\n",
    b"Transfer-Encoding: chunked, chunked\r\n",
    b"Transfer-Encoding: chunked;x=y\r\n",
    b"Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
    b"Transfer-Encoding: identity\r\nTransfer-Encoding: chunked\r\n",
    b"Transfer-Encoding: x\r\nTransfer-Encoding: chunked\r\n",
    b"Transfer-Encoding:\r\nTransfer-Encoding: chunked\r\n",
)
TWO_LENGTHS: Final = tuple(
    _POST + headers + body
    for written in _WRITTEN
    for length, body in ((_LENGTH, _CHUNKED), (_SHORT, _IN_CHUNKS))
    for headers in (length + written, written + length)
)
LENGTHS: Final = tuple(
    _POST + headers + b"\r\nabcd" + _SMUGGLED
    for headers in (
        b"Content-Length: 4\r\nContent-Length: 40\r\n",
        b"Content-Length: 40\r\nContent-Length: 4\r\n",
        b"Content-Length: 4, 40\r\n",
        b"Content-Length: +4\r\n",
        b"Content-Length: -4\r\n",
        b"Content-Length: 0x4\r\n",
        b"Content-Length: 4 4\r\n",
        b"Content-Length: 4\x0b\r\n",
        b"Content-Length:\r\n",
        b"Content-Length : 4\r\n",
    )
)
OLD: Final = tuple(
    b"POST /order HTTP/1.0\r\nHost: x\r\n" + length + b"Transfer-Encoding: chunked\r\n" + body
    for length, body in ((b"", _CHUNKED), (_LENGTH, _CHUNKED), (_SHORT, _IN_CHUNKS))
)


@pytest.fixture(params=["nginx", "haproxy"])
def program(request: pytest.FixtureRequest) -> Program:
    kind: Kind = request.param
    return find(kind)


async def test_no_request_is_hidden_in_another_and_whoever_tries_is_refused(program: Program, tmp_path: Path) -> None:
    async with front(program, tmp_path) as made:
        wrong: dict[bytes, object] = {}
        # HAProxy's own word for an encoding that it does not know.
        expected = {400} if program.kind == "nginx" else {400, 422}
        for sent in (*TWO_LENGTHS, *LENGTHS, *OLD):
            try:
                status, _ = await raw(made.running.port, sent, 5)
            except TimeoutError:
                status = -1
            if status not in expected:
                wrong[sent] = status
        assert wrong == {}
        assert made.seen() == {}


async def test_a_chunked_body_is_refused_in_the_envelope_which_says_what_to_do(
    program: Program, tmp_path: Path
) -> None:
    async def parts() -> AsyncIterator[bytes]:
        yield b"{}"

    async with front(program, tmp_path) as made:
        status, said = await made.ask("POST", "/order", data=parts())
        assert (status, said["error"]) == (400, "bad_request")
        assert "Content-Length" in said["message"]
        assert made.seen() == {}


async def test_of_two_requests_on_a_connection_each_is_its_own(program: Program, tmp_path: Path) -> None:
    """A body that looks like a request is a body."""
    async with front(program, tmp_path, 1) as made:
        body = _SMUGGLED
        last = b"GET /last HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        sent = _POST + b"Content-Length: %d\r\n\r\n" % len(body) + body + last
        status, _ = await raw(made.running.port, sent)
        assert status == 200
        assert made.behind[0].seen == [("POST", "/order"), ("GET", "/last")]


FORGED: Final = (
    "X-Forwarded-For: 203.0.113.9",
    "x-forwarded-for: 203.0.113.9, 127.0.0.1",
    "X-Forwarded-For: 203.0.113.9\r\nX-Forwarded-For: 203.0.113.10",
    "X-Forwarded-For: 203.0.113.9\r\nConnection: X-Forwarded-For",
    "X_Forwarded_For: 203.0.113.9",
    "X-Forwarded-For : 203.0.113.9",
    "X-Forwarded-For:\r\n 203.0.113.9",
    "X-Real-IP: 203.0.113.9",
    "Forwarded: for=203.0.113.9;proto=https",
    "X-Client-IP: 203.0.113.9\r\nTrue-Client-IP: 203.0.113.9\r\nCF-Connecting-IP: 203.0.113.9",
    "X-Forwarded-Proto: https",
)


async def test_no_header_makes_a_client_somebody_else(program: Program, tmp_path: Path) -> None:
    async with front(program, tmp_path, 1) as made:
        for headers in FORGED:
            closing = "" if "Connection" in headers else "Connection: close\r\n"
            sent = f"GET /x HTTP/1.1\r\nHost: x\r\n{closing}{headers}\r\n\r\n"
            if not closing:
                sent += "GET /x HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
            status, text = await raw(made.running.port, sent)
            assert status in (200, 400), headers
            if status == 200:
                said = json.loads(text.partition("HTTP/1.1")[0])
                assert (said["forwarded_for"], said["scheme"], said["others"]) == (["127.0.0.1"], ["http"], []), headers


async def test_a_gateway_is_not_asked_to_speak_another_protocol(program: Program, tmp_path: Path) -> None:
    async with front(program, tmp_path, 1) as made:
        http2 = {
            "Connection": "Upgrade, HTTP2-Settings",
            "Upgrade": "h2c",
            "HTTP2-Settings": "AAMAAABkAAQCAAAAAAIAAAAA",
        }
        key = {"Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==", "Sec-WebSocket-Version": "13"}
        for headers in (http2, {"Connection": "Upgrade", "Upgrade": "websocket", **key}):
            status, said = await made.ask("GET", "/x", headers=headers)
            assert (status, said["others"]) == (200, [])


@pytest.mark.parametrize("method", ["TRACE", "CONNECT"])
async def test_methods_that_nobody_uses_are_405_in_the_envelope(program: Program, tmp_path: Path, method: str) -> None:
    target = "x:443" if method == "CONNECT" else "/x"
    async with front(program, tmp_path, 1) as made:
        status, text = await raw(
            made.running.port, f"{method} {target} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
        )
        # nginx before 1.31 says of CONNECT that it is no HTTP
        assert status == 405 or (status == 400 and method == "CONNECT" and program.kind == "nginx")
        assert json.loads(text)["error"] == ("method_not_allowed" if status == 405 else "bad_request")
        assert made.seen() == {}


async def test_a_gateways_own_405_is_passed_on_as_it_is(program: Program, tmp_path: Path) -> None:
    async with front(program, tmp_path, 1) as made:
        made.behind[0].status = 405
        for method in ("PUT", "DELETE", "OPTIONS", "PROPFIND"):
            assert await made.ask(method, "/x") == (405, await _said(made.behind[0].name))


async def _said(name: str) -> dict[str, object]:
    return {"name": name, "forwarded_for": ["127.0.0.1"], "others": [], "scheme": ["http"], "body": 0}


async def test_limits_hold_with_tls_too(program: Program, tmp_path: Path) -> None:
    async with front(program, tmp_path, describe=secured) as made:
        assert (await made.ask("POST", "/x", data=b"x" * MAX_BODY))[0] == 200
        status, said = await made.ask("POST", "/x", data=b"x" * (MAX_BODY + 1))
        assert (status, said["error"]) == (413, "payload_too_large")
        status, said = await made.ask("GET", "/x", headers={"X-One": "x" * (MAX_HEAD + 200)})
        assert (status, said["error"]) == (431, "headers_too_large")
        assert made.seen() == {("POST", "/x"): 1}


async def test_a_body_that_is_too_large_is_refused_before_it_is_sent(program: Program, tmp_path: Path) -> None:
    async with front(program, tmp_path) as made:
        reader, writer = await asyncio.open_connection("127.0.0.1", made.running.port)
        writer.write(_POST + b"Content-Length: %d\r\n\r\nx" % (MAX_BODY + 1))
        said = await asyncio.wait_for(reader.readline(), 3)
        assert b" 413 " in said
        writer.close()
        await writer.wait_closed()
        assert made.seen() == {}
