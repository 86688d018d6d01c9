"""The smoke test against real gateways: what passes, what fails, and who is believed."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from stacks.commands.certificates import Generated, generate
from stacks.commands.client import Client, Edge
from stacks.commands.failures import Failure
from stacks.commands.smoke import smoke, wait_ready
from tests.faults.gateway import environment, running


def quiet(_text: str) -> None:
    """Nobody watches."""


async def test_an_order_its_events_and_its_cancellation_are_seen(
    database: str, redis_url: str, engine_binary: Path, tmp_path: Path
) -> None:
    async with running(tmp_path, environment(database, redis_url, engine_binary), wait=False) as gateway:
        edge = Edge(gateway.url, "127.0.0.1", gateway.port)
        assert await wait_ready(edge, 20, quiet) < 20
        steps = await smoke(edge, gateway.key)
        assert [step.what for step in steps] == [
            "health",
            "configuration",
            "market",
            "order",
            "event of the order",
            "cancellation",
            "event of the cancellation",
        ]
        with pytest.raises(Failure, match="failed at configuration: 401"):
            await smoke(edge, "0" * 64)


async def test_a_key_at_its_rate_limit_is_waited_for(
    database: str, redis_url: str, engine_binary: Path, tmp_path: Path
) -> None:
    limits = {"VELOZ_RATE_LIMIT_KEY": "100", "VELOZ_RATE_LIMIT_WINDOW": "3"}
    async with running(tmp_path, environment(database, redis_url, engine_binary, **limits)) as gateway:
        async with aiohttp.ClientSession(headers={"X-API-Key": gateway.key}) as session:

            async def refused() -> bool:
                async with session.get(f"{gateway.url}/api/account") as answer:
                    return answer.status == 429

            while not any(await asyncio.gather(*(refused() for _ in range(50)))):
                pass
        steps = await smoke(Edge(gateway.url, "127.0.0.1", gateway.port), gateway.key)
        assert steps[-1].detail == "CANCELLED"


async def test_a_test_that_fails_or_is_cut_off_leaves_no_order(
    database: str, redis_url: str, engine_binary: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def deaf(*_: object) -> tuple[str, None]:
        raise Failure("no event")

    async def open_orders() -> list[str]:
        async with Client(edge, gateway.key) as client:
            _, body = await client.json("GET", "/api/orders_state", params={"open": "true"})
            return [order["client_order_id"] for order in body["items"]]

    async with running(tmp_path, environment(database, redis_url, engine_binary)) as gateway:
        edge = Edge(gateway.url, "127.0.0.1", gateway.port)
        with monkeypatch.context() as patched:
            patched.setattr("stacks.commands.smoke._event", deaf)
            with pytest.raises(Failure, match="no event"):
                await smoke(edge, gateway.key)
        assert await open_orders() == []
        order = {"side": "BUY", "symbol": "BTCUSDT", "qty": "0.001", "price": "1", "type": "LIMIT"}
        async with Client(edge, gateway.key) as client:
            for name in ("smoke-1", "smoke-2", "somebodys"):
                status, said = await client.json("POST", "/api/order", json=order | {"client_order_id": name})
                assert (status, said["status"]) == (200, "ACCEPTED")
        steps = {step.what: step.detail for step in await smoke(edge, gateway.key)}
        assert steps["orders of a test that was cut off"] == "2 of 2 cancelled"
        assert await open_orders() == ["somebodys"]


async def ask(edge: Edge, key: str, method: str, path: str, **body: object) -> dict[str, Any]:
    async with Client(edge, key) as client:
        status, said = await client.json(method, path, **({"json": body} if body else {}))
    assert status in {200, 201}, said
    assert isinstance(said, dict)
    return said


async def test_an_order_that_risk_checks_refuse_is_proof_too(
    database: str, redis_url: str, engine_binary: Path, tmp_path: Path
) -> None:
    async def seen(key: str) -> dict[str, str]:
        return {step.what: step.detail for step in await smoke(edge, key)}

    async def set_limits(**limits: str) -> None:
        await ask(edge, gateway.key, "PATCH", "/api/admin/limits", **limits)

    async with running(tmp_path, environment(database, redis_url, engine_binary)) as gateway:
        edge = Edge(gateway.url, "127.0.0.1", gateway.port)
        trader = (await ask(edge, gateway.key, "POST", "/api/auth/keys", role="trader"))["api_key"]
        await set_limits(price_band_bps="200")
        steps = await seen(gateway.key)
        assert "band 200" in steps["market"]
        assert steps["order"].startswith("ACCEPTED")
        assert steps["event of the cancellation"] == "CANCELLED"

        _refused(await seen(trader), "PRICE_BAND")  # it may not read the limits
        await set_limits(price_band_bps="5")
        _refused(await seen(gateway.key), "PRICE_BAND")
        await set_limits(price_band_bps="0", max_order_qty="0.00001")
        _refused(await seen(gateway.key), "MAX_ORDER_QTY")
        await set_limits(max_order_qty="0", max_notional="0.01")
        _refused(await seen(gateway.key), "MAX_NOTIONAL")
        await set_limits(max_notional="0")
        for whose in ({"account": "main"}, {}):
            await ask(edge, gateway.key, "POST", "/api/admin/kill_switch", on=True, **whose)
            _refused(await seen(gateway.key), "KILL_SWITCH")
            await ask(edge, gateway.key, "POST", "/api/admin/kill_switch", on=False, **whose)
        assert (await seen(gateway.key))["order"].startswith("ACCEPTED")


def _refused(steps: dict[str, str], reason: str) -> None:
    assert steps["order"].startswith(f"refused by {reason}, decided and recorded, seq ")
    assert steps["event of the order"] == "REJECTED"
    assert steps["cancellation"] == "none: an order that was refused does not rest"
    assert "event of the cancellation" not in steps


REFUSED = {"ok": False, "error": "risk_rejected", "message": "it is refused", "reason": "KILL_SWITCH", "seq": 3}


@pytest.mark.parametrize(
    ("status", "body", "failure"),
    [
        (422, REFUSED, "failed at the stream: it ended before REJECTED"),
        (422, REFUSED | {"seq": None}, "failed at order: 422, it is refused"),
        (422, REFUSED | {"reason": "BAD_TICK"}, "failed at order: 422, it is refused"),
        (503, {"error": "execution_unavailable", "message": "no engine"}, "failed at order: 503, no engine"),
        (401, {"error": "invalid_api_key", "message": "revoked"}, "failed at order: 401, revoked"),
        (429, {"error": "rate_limit_exceeded", "message": "later"}, "failed at order: 429, later"),
        (400, {"error": "bad_params", "message": "tif"}, "failed at order: 400, tif"),
        (504, {"error": "unknown", "message": "no answer"}, "failed at order: 504, no answer"),
    ],
)
@pytest.mark.parametrize("limits", [200, 403, 500])
async def test_what_nobody_decided_or_recorded_is_a_failure(
    status: int, body: dict[str, Any], failure: str, limits: int
) -> None:
    async with _standing_in(status, body, limits) as edge:
        with pytest.raises(Failure, match=failure):
            await smoke(edge, "key")


async def test_an_order_without_an_answer_in_time_is_a_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("stacks.commands.client.SECONDS", 0.5)
    async with _standing_in(422, REFUSED, 200, seconds=1) as edge:
        with pytest.raises(Failure, match="failed after market: TimeoutError"):
            await smoke(edge, "key")


@asynccontextmanager
async def _standing_in(status: int, body: dict[str, Any], limits: int, seconds: float = 0) -> AsyncIterator[Edge]:
    """Answers an order with `status` and `body` after so many `seconds`, and has no events."""
    answers: dict[str, tuple[int, dict[str, Any]]] = {
        "/health/ready": (200, {"ok": True, "version": "1"}),
        "/api/config": (200, {"execution_mode": "sim_engine", "market_symbols": ["BTCUSDT"]}),
        "/api/market": (200, {"price": 40_000}),
        "/api/admin/limits": (limits, {"price_band_bps": 0}),
        "/api/orders_state": (200, {"items": [], "next": None}),
        "/api/order": (status, body),
    }

    async def answer(request: web.Request) -> web.Response:
        if request.path == "/api/stream":
            return web.Response(text=": \n\n")
        if request.path == "/api/order":
            await asyncio.sleep(seconds)
        code, said = answers.get(request.path, (404, {}))
        return web.json_response(said, status=code)

    async with _serving(answer) as port:
        yield Edge(f"http://127.0.0.1:{port}", "127.0.0.1", port)


async def test_nobody_there_is_said_after_the_time_given(free_port: int) -> None:
    edge = Edge(f"http://127.0.0.1:{free_port}", "127.0.0.1", free_port)
    said: list[str] = []
    with pytest.raises(Failure, match=r"was not ready within 1 s: .*Connect"):
        await wait_ready(edge, 1, said.append)
    assert said


async def test_an_edge_that_is_not_ready_says_what_fails() -> None:
    async def not_ready(_request: web.Request) -> web.Response:
        return web.json_response({"ok": False, "failing": ["database"]}, status=503)

    async with _serving(not_ready) as port:
        with pytest.raises(Failure, match="503, failing: database"):
            await wait_ready(Edge(f"http://127.0.0.1:{port}", "127.0.0.1", port), 0.8, quiet)


async def test_a_real_venue_gets_no_order() -> None:
    asked: list[str] = []

    async def answer(request: web.Request) -> web.Response:
        asked.append(f"{request.method} {request.path}")
        if request.path == "/api/config":
            return web.json_response({"execution_mode": "binance_spot", "market_symbols": ["BTCUSDT"]})
        return web.json_response({"ok": True, "version": "1"})

    async with _serving(answer) as port:
        steps = await smoke(Edge(f"http://127.0.0.1:{port}", "127.0.0.1", port), "key")
    assert asked == ["GET /health/ready", "GET /api/config"]
    assert steps[-1].detail == "none was sent: in mode binance_spot it would be a real one"


@pytest.mark.parametrize(
    ("certified", "signer", "refusal"),
    [("veloz.test", "ours", ""), ("veloz.test", "other", "not accepted"), ("other.test", "ours", "not accepted")],
)
async def test_only_a_certificate_of_the_stacks_authority_for_the_edge_is_believed(
    certified: str, signer: str, refusal: str, tmp_path: Path
) -> None:
    """The name need not be in DNS: the edge is reached by its address."""
    made, other = generate("one", [certified]), generate("other", ["veloz.test"])
    (tmp_path / "chain").write_text(made.certificate + made.key)
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tmp_path / "chain")

    async def ready(request: web.Request) -> web.Response:
        assert request.headers["Host"] == f"veloz.test:{request.url.port}"
        return web.json_response({"ok": True})

    async with _serving(ready, context) as port:
        edge = Edge(f"https://veloz.test:{port}", "127.0.0.1", port, (made if signer == "ours" else other).authority)
        if not refusal:
            assert await wait_ready(edge, 5, quiet) < 5
            return
        with pytest.raises(Failure, match=refusal):
            await wait_ready(edge, 1, quiet)


async def test_a_certificate_that_is_taken_late_is_waited_for(tmp_path: Path) -> None:
    """As balancers do after `make init RENEW=1`."""
    old, new = (generate(name, ["veloz.test"]) for name in ("old", "new"))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)

    def serve(made: Generated) -> None:
        (tmp_path / "chain").write_text(made.certificate + made.key)
        context.load_cert_chain(tmp_path / "chain")

    def taken(said: str) -> None:
        if "certificate not accepted" in said:
            serve(new)

    async def ready(_: web.Request) -> web.Response:
        return web.json_response({"ok": True})

    serve(old)
    async with _serving(ready, context) as port:
        edge = Edge(f"https://veloz.test:{port}", "127.0.0.1", port, new.authority)
        assert await wait_ready(edge, 10, taken) < 10


@asynccontextmanager
async def _serving(handler: object, context: ssl.SSLContext | None = None) -> AsyncIterator[int]:
    application = web.Application()
    application.router.add_route("*", "/{path:.*}", handler)  # type: ignore[arg-type]
    runner = web.AppRunner(application)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context)
    await site.start()
    try:
        yield runner.addresses[0][1]
    finally:
        await runner.cleanup()
        await asyncio.sleep(0)
