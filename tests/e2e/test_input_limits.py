"""By raw sockets: how much a client may send, how slowly, and by which method."""

import asyncio
import time

import pytest

from tests.e2e.api import Api
from tests.faults.gateway import Gateway

BODY_LIMIT = 65_536
HEADER_LIMIT = 8_192
HEADER_SECONDS = 2  # as the fixture sets it; 10 is the most that the setting takes


async def _raw(gateway: Gateway, request: bytes, seconds: float = HEADER_SECONDS + 2) -> bytes:
    """Everything the gateway says to these bytes until it closes or falls silent for a second after an answer."""
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    answer = b""
    try:
        writer.write(request)
        while chunk := await asyncio.wait_for(reader.read(65_536), seconds):
            answer += chunk
            seconds = 1
    except (TimeoutError, ConnectionResetError):
        pass  # what came until then is the answer
    finally:
        writer.close()
    return answer


def _status(answer: bytes) -> int:
    assert answer.startswith((b"HTTP/1.1 ", b"HTTP/1.0 ")), answer[:200]
    return int(answer[9:12])


def _post(gateway: Gateway, body: bytes, *headers: str, path: str = "/api/order") -> bytes:
    lines = [
        f"POST {path} HTTP/1.1",
        f"Host: 127.0.0.1:{gateway.port}",
        f"X-API-Key: {gateway.key}",
        "Content-Type: application/json",
        "Connection: close",
        *headers,
    ]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def _chunked(size: int) -> bytes:
    return f"{size:x}\r\n".encode() + b" " * size + b"\r\n0\r\n\r\n"


async def test_a_body_above_64_kib_is_413_before_it_is_read(gateway: Gateway) -> None:
    answer = await _raw(gateway, _post(gateway, b"", f"Content-Length: {BODY_LIMIT + 1}"))
    assert _status(answer) == 413


async def test_a_chunked_body_above_64_kib_is_413(gateway: Gateway) -> None:
    answer = await _raw(gateway, _post(gateway, _chunked(BODY_LIMIT + 1), "Transfer-Encoding: chunked"))
    assert _status(answer) == 413


async def test_a_body_of_64_kib_is_read(gateway: Gateway) -> None:
    answer = await _raw(gateway, _post(gateway, b" " * BODY_LIMIT, f"Content-Length: {BODY_LIMIT}"))
    assert _status(answer) == 400
    assert b"bad_json" in answer


async def test_a_compressed_body_is_refused(gateway: Gateway) -> None:
    answer = await _raw(gateway, _post(gateway, b"abc", "Content-Encoding: gzip", "Content-Length: 3"))
    assert 400 <= _status(answer) < 500


@pytest.mark.parametrize(
    "header",
    ["X-Long: " + "a" * (HEADER_LIMIT + 1), "\r\n".join(f"X-Many-{n}: {'a' * 90}" for n in range(2000))],
    ids=["one long", "many"],
)
async def test_headers_above_the_limit_are_refused(gateway: Gateway, header: str) -> None:
    answer = await _raw(gateway, _post(gateway, b"", header, "Content-Length: 0"))
    assert _status(answer) in {400, 431}


async def test_a_long_request_line_is_refused(gateway: Gateway) -> None:
    request = b"GET /api/market?symbol=" + b"a" * HEADER_LIMIT + b" HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    assert _status(await _raw(gateway, request)) in {400, 414, 431}


@pytest.mark.parametrize(
    "headers",
    [
        ("Content-Length: 2", "Transfer-Encoding: chunked"),
        ("Content-Length: 2", "Content-Length: 3"),
        ("Content-Length: -1",),
        ("Content-Length: +2",),
        ("Transfer-Encoding: identity, chunked, chunked",),
        ("Transfer-Encoding: xchunked",),
        ("X Space: 1", "Content-Length: 2"),
    ],
    ids=" and ".join,
)
async def test_an_ambiguous_length_is_400(gateway: Gateway, headers: tuple[str, ...]) -> None:
    assert _status(await _raw(gateway, _post(gateway, b"{}", *headers))) == 400


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "/api/order"),
        ("DELETE", "/api/order"),
        ("GET", "/api/cancel"),
        ("PATCH", "/api/account"),
        ("POST", "/api/market"),
        ("POST", "/health"),
        ("TRACE", "/api/account"),
        ("OPTIONS", "/api/order"),
        ("GET", "/api/order/amend"),
    ],
)
async def test_a_method_that_is_not_used_is_405(api: Api, method: str, path: str) -> None:
    answer = await api.ask(method, path)
    assert answer.status == 405
    assert answer.headers["Allow"]


@pytest.mark.parametrize("path", ["/api/orders", "/api/orders_state", "/api/trades"])
async def test_a_page_has_at_most_500_items(api: Api, path: str) -> None:
    assert (await api.get(path, limit="500")).status == 200
    for limit in ("501", "0", "-1", "9" * 30):
        answer = await api.get(path, limit=limit)
        assert (answer.status, answer.json["error"]) == (400, "bad_params")


async def test_headers_that_do_not_end_are_cut_off_in_time(gateway: Gateway) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    started = time.monotonic()
    writer.write(b"GET /health HTTP/1.1\r\nHost: x\r\n")
    await asyncio.wait_for(reader.read(), HEADER_SECONDS + 3)
    writer.close()
    assert time.monotonic() - started <= HEADER_SECONDS + 1


async def test_rubbish_is_answered_or_dropped_and_harms_nobody(gateway: Gateway, api: Api) -> None:
    for rubbish in (b"\x16\x03\x01\x02\x00\x01\x00", b"\x00" * 100, b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n"):
        answer = await _raw(gateway, rubbish, seconds=1)
        assert not answer or 400 <= _status(answer) < 506
    assert (await api.get("/health")).status == 200
