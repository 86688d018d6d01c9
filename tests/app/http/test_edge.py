"""What the edge refuses, and that every refusal is one envelope."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from tests.app.http.conftest import SHARED, Gateway, MakeGateway

pytestmark = SHARED

ORDER = {"side": "BUY", "symbol": "BTCUSDT", "qty": "0.5", "price": "30000", "client_order_id": "a"}
JSON = {"Content-Type": "application/json"}


async def raw(gateway: Gateway, request: bytes, seconds: float = 5.0) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of what a bare socket gets."""
    reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
    try:
        writer.write(request)
        async with asyncio.timeout(seconds):
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
            return int(head[0].split()[1]), headers, await reader.readexactly(int(headers.get("content-length", 0)))
    finally:
        writer.close()
        await writer.wait_closed()


async def test_an_unknown_path_is_not_found(shared: Gateway) -> None:
    (await shared.get("/nothing")).refused(404, "not_found")
    (await shared.get("/api/%zz/%ff")).refused(404, "not_found")


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"])
async def test_an_unused_method_is_refused_with_those_that_are_used(shared: Gateway, method: str) -> None:
    reply = await shared.call(method, "/api/order")
    reply.refused(405, "method_not_allowed")
    assert reply.headers["Allow"] == "POST"


async def test_a_body_above_64_kib_is_refused(shared: Gateway) -> None:
    big = json.dumps(ORDER | {"symbol": "x" * 65_536}).encode()
    (await shared.call("POST", "/api/order", data=big, headers={"X-API-Key": shared.key} | JSON)).refused(
        413, "payload_too_large"
    )

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(70):
            yield b" " * 1024

    reply = await shared.call("POST", "/api/order", data=chunks(), headers={"X-API-Key": shared.key} | JSON)
    reply.refused(413, "payload_too_large")


async def test_headers_above_8_kib_are_refused(shared: Gateway) -> None:
    many = "".join(f"X-{i}: {'y' * 500}\r\n" for i in range(20))
    status, _, body = await raw(shared, f"GET /health HTTP/1.1\r\nHost: x\r\n{many}\r\n".encode())
    assert (status, json.loads(body)["error"]) == (431, "headers_too_large")
    one = f"GET /health HTTP/1.1\r\nHost: x\r\nX-Long: {'y' * 9000}\r\n\r\n"
    status, _, body = await raw(shared, one.encode())
    assert status in {400, 431}
    assert json.loads(body)["ok"] is False
    line = f"GET /health?{'y' * 9000} HTTP/1.1\r\nHost: x\r\n\r\n"
    status, _, body = await raw(shared, line.encode())
    assert status in {400, 431}
    assert json.loads(body)["ok"] is False


@pytest.mark.parametrize(
    "request_bytes",
    [
        b"NONSENSE\r\n\r\n",
        b"GET /health HTTP/9.9\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: x\r\nBad Header: y\r\n\r\n",
        b"GET /health HTTP/1.1\r\nHost: x\r\nContent-Length: x\r\n\r\n",
        b"POST /api/order HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n",
    ],
)
async def test_what_is_not_http_gets_an_envelope_too(shared: Gateway, request_bytes: bytes) -> None:
    status, headers, body = await raw(shared, request_bytes)
    assert status == 400
    assert headers["content-type"] == "application/json"
    assert json.loads(body)["error"] == "bad_request"


async def test_an_unknown_expectation_is_refused_in_an_envelope(shared: Gateway) -> None:
    head = b"POST /api/order HTTP/1.1\r\nHost: x\r\nExpect: gold\r\nContent-Length: 2\r\n\r\n{}"
    status, headers, body = await raw(shared, head)
    assert status == 417
    assert headers["content-type"] == "application/json"
    assert json.loads(body)["ok"] is False


async def test_a_request_id_is_taken_and_given_back(shared: Gateway) -> None:
    reply = await shared.get("/nothing", headers={"X-Request-ID": "my-id-1"})
    assert reply.headers["X-Request-ID"] == reply.json["request_id"] == "my-id-1"
    for bad in ("has space", "x" * 65, "ключ"):
        made = (await shared.get("/nothing", headers={"X-Request-ID": bad})).json["request_id"]
        assert made != bad
        assert len(made) == 32


@pytest.mark.parametrize(
    ("body", "kind", "status", "code"),
    [
        (b"{", "application/json", 400, "bad_json"),
        (b'{"qty": 1, "qty": 2}', "application/json", 400, "bad_json"),
        (b"\xff", "application/json", 400, "bad_json"),
        (b'{"qty": NaN}', "application/json", 400, "bad_json"),
        (b"[" * 50_000, "application/json", 400, "bad_json"),
        (b"{}", "application/json", 400, "bad_params"),
        (b"", "application/json", 400, "bad_params"),
        (b"{}", "text/plain", 415, "unsupported_media_type"),
        (b"<a/>", "application/xml", 415, "unsupported_media_type"),
        (b"side=BUY&side=SELL", "application/x-www-form-urlencoded", 400, "bad_params"),
        (b"qty=%zz", "application/x-www-form-urlencoded", 400, "bad_params"),
    ],
)
async def test_a_body_against_the_rules_is_refused(
    shared: Gateway, body: bytes, kind: str, status: int, code: str
) -> None:
    headers = {"X-API-Key": shared.key, "Content-Type": kind}
    (await shared.call("POST", "/api/order", data=body, headers=headers)).refused(status, code)


async def test_a_compressed_body_is_refused(shared: Gateway) -> None:
    headers = {"X-API-Key": shared.key, "Content-Encoding": "gzip"} | JSON
    (await shared.call("POST", "/api/order", data=b"{}", headers=headers)).refused(415, "unsupported_media_type")


@pytest.mark.parametrize("qty", ["NaN", "-1", "1e5", "1" * 30, "+1", "\uff11", "0", "", " 1", "0x1"])
async def test_a_quantity_that_is_no_plain_positive_decimal_is_refused(shared: Gateway, qty: str) -> None:
    (await shared.order(qty=qty)).refused(400, "bad_params")
    assert shared.rows("SELECT count(*) FROM orders") == [(0,)]


async def test_a_newline_in_a_symbol_does_not_become_a_second_command(shared: Gateway) -> None:
    for symbol in ("BTCUSDT\nORDER SELL BTCUSDT 1 1 x", "BTCUSDT\n", "BTCUSDT 1 1 b\n#"):
        (await shared.order(symbol=symbol)).refused(400, "bad_params")
        (await shared.order(client_order_id=symbol)).refused(400, "bad_params")
    assert shared.rows("SELECT count(*) FROM orders") == [(0,)]


async def test_an_unknown_or_repeated_query_field_is_refused(shared: Gateway) -> None:
    (await shared.get("/api/market?symbl=BTCUSDT")).refused(400, "bad_params")
    (await shared.get("/api/market?symbol=BTCUSDT&symbol=ETHUSDT")).refused(400, "bad_params")
    (await shared.get("/api/orders?limit=501")).refused(400, "bad_params")
    (await shared.get("/api/orders?limit=0")).refused(400, "bad_params")
    (await shared.get("/api/orders?limit=%EF%BC%91")).refused(400, "bad_params")
    (await shared.get("/api/orders?cursor=99999999999999999999")).refused(400, "bad_params")


@pytest.mark.asyncio(loop_scope="function")
async def test_a_slow_head_is_cut_off(make_gateway: MakeGateway) -> None:
    async with make_gateway(HEADER_TIMEOUT="0.3") as gateway:
        reader, writer = await asyncio.open_connection("127.0.0.1", gateway.port)
        writer.write(b"GET /health HTTP/1.1\r\nHost: x\r\nX-Slow")
        async with asyncio.timeout(2):
            assert await reader.read() == b""
        writer.close()


@pytest.mark.asyncio(loop_scope="function")
async def test_a_slow_body_is_answered_408(make_gateway: MakeGateway) -> None:
    async with make_gateway(HEADER_TIMEOUT="0.3") as gateway:
        head = f"POST /api/order HTTP/1.1\r\nHost: x\r\nX-API-Key: {gateway.key}\r\nContent-Type: application/json\r\n"
        status, _, body = await raw(gateway, head.encode() + b"Content-Length: 50\r\n\r\n{")
        assert (status, json.loads(body)["error"]) == (408, "request_timeout")


async def test_a_body_that_goes_wrong_on_its_way_is_answered_at_once(shared: Gateway) -> None:
    reader, writer = await asyncio.open_connection("127.0.0.1", shared.port)
    head = f"POST /api/order HTTP/1.1\r\nHost: x\r\nX-API-Key: {shared.key}\r\nContent-Type: application/json\r\n"
    writer.write(head.encode() + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n")
    await writer.drain()
    await asyncio.sleep(0.1)  # the head is being handled when the rest comes
    writer.write(b"ZZ\r\n")
    async with asyncio.timeout(3):
        answer = await reader.read()
    assert answer.startswith(b"HTTP/1.1 400 ")
    assert answer.count(b"HTTP/1.1") == 1
    assert b'"error":"bad_request"' in answer
    writer.close()


async def test_a_client_that_leaves_in_mid_body_is_no_defect(shared: Gateway) -> None:
    before = shared.services.metrics.internal_errors._value.get()
    _, writer = await asyncio.open_connection("127.0.0.1", shared.port)
    head = f"POST /api/order HTTP/1.1\r\nHost: x\r\nX-API-Key: {shared.key}\r\nContent-Type: application/json\r\n"
    writer.write(head.encode() + b"Content-Length: 50\r\n\r\n{")
    await writer.drain()
    await asyncio.sleep(0.1)
    writer.close()
    await writer.wait_closed()
    assert (await shared.get("/health")).status == 200
    assert shared.services.metrics.internal_errors._value.get() == before


LIMITS = {"X-RateLimit-Limit", "X-RateLimit-Used", "X-RateLimit-Remaining", "X-RateLimit-Reset"}


async def test_every_answer_tells_the_limit_and_what_is_used(shared: Gateway) -> None:
    viewer = {"X-API-Key": await shared.make_key("viewer")}
    big = {"X-API-Key": shared.key, "Content-Type": "application/json"}
    cases: list[tuple[int, str, str, dict[str, Any]]] = [
        (200, "GET", "/api/market", {}),
        (400, "GET", "/api/orders?limit=x", {}),
        (400, "POST", "/api/order", {"json": {}}),
        (401, "GET", "/api/market", {"headers": {}}),
        (401, "GET", "/api/market", {"headers": {"X-API-Key": "0" * 64}}),
        (401, "GET", "/api/market", {"headers": {"Cookie": "veloz_session=vs_1"}}),
        (403, "POST", "/api/order", {"headers": viewer, "json": ORDER}),
        (403, "POST", "/api/order", {"headers": {"Cookie": "veloz_session=vs_1"}, "json": ORDER}),
        (404, "GET", "/nothing", {}),
        (404, "GET", "/api/order_state?client_order_id=nothing", {}),
        (405, "DELETE", "/api/order", {}),
        (413, "POST", "/api/order", {"data": b" " * 65_537, "headers": big}),
        (415, "POST", "/api/order", {"data": b"x", "headers": big | {"Content-Type": "text/plain"}}),
        (422, "POST", "/api/order", {"json": ORDER | {"symbol": "NOSUCH", "client_order_id": "limits"}}),
        (431, "GET", "/api/market", {"headers": {f"X-{n}": "y" * 1000 for n in range(9)}}),
    ]
    for status, method, path, how in cases:
        reply = await shared.call(method, path, **how)
        assert reply.status == status, (path, reply.text)
        assert set(reply.headers) >= LIMITS, (status, path)
        limit, used, left, _ = (int(reply.headers[name]) for name in sorted(LIMITS, key=_order))
        assert limit == used + left
        assert used >= 1


def _order(name: str) -> int:
    return ("Limit", "Used", "Remaining", "Reset").index(name.rpartition("-")[2])


async def test_an_answer_while_the_database_is_away_tells_the_limit_too(make_gateway: MakeGateway) -> None:
    async with make_gateway(POSTGRES_DSN="postgresql://nobody@127.0.0.1:1/nothing", ready=False) as gateway:
        reply = await gateway.get("/api/market")
        reply.refused(503, "execution_unavailable")
        assert set(reply.headers) >= LIMITS | {"Retry-After"}


async def test_an_answer_names_no_software(shared: Gateway) -> None:
    assert (await shared.get("/health")).headers["Server"] == "veloz"
