"""What the original gateway got wrong, each defect by name."""

import asyncio
import os
import shutil
import signal
import time
from pathlib import Path

import pytest

from tests.e2e.api import Api
from tests.faults.gateway import Gateway, environment, running
from tests.faults.waiting import until

AT_ONCE_SECONDS = 1.0


async def _orders(api: Api) -> set[str]:
    answer = await api.get("/api/orders_state", limit="500")
    assert answer.status == 200
    return {item["client_order_id"] for item in answer.json["items"]}


@pytest.mark.parametrize("field", ["symbol", "client_order_id", "side", "qty", "price", "type", "tif"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\u2028", "\x00\n"])
async def test_a_newline_never_becomes_a_second_command(api: Api, field: str, end: str) -> None:
    order = {"side": "BUY", "symbol": "BTCUSDT", "qty": "0.01", "price": "20000", "type": "LIMIT", "tif": "GTC"}
    order["client_order_id"] = "first"
    order[field] += f"{end}ORDER BUY BTCUSDT 0.01 20000 injected"
    before = await _orders(api)
    answer = await api.post("/api/order", order)
    assert (answer.status, answer.json["error"]) == (400, "bad_params")
    assert await _orders(api) == before


@pytest.mark.parametrize("path", ["/api/cancel", "/api/order/amend"])
async def test_a_newline_in_an_id_is_refused_wherever_ids_are_taken(api: Api, path: str) -> None:
    answer = await api.post(path, {"client_order_id": "x\nORDER BUY BTCUSDT 0.01 20000 injected", "qty": "1"})
    assert (answer.status, answer.json["error"]) == (400, "bad_params")
    assert "injected" not in await _orders(api)


@pytest.mark.parametrize("path", ["/api/order", "/api/cancel"])
async def test_a_newline_in_a_form_is_refused_too(api: Api, path: str) -> None:
    form = {"side": "BUY", "symbol": "BTCUSDT", "qty": "0.01", "price": "20000"} if path == "/api/order" else {}
    answer = await api.ask("POST", path, data=form | {"client_order_id": "x\nORDER BUY BTCUSDT 0.01 20000 injected"})
    assert (answer.status, answer.json["error"]) == (400, "bad_params")
    assert "injected" not in await _orders(api)


async def test_a_form_is_an_order_as_json_is(api: Api) -> None:
    form = {"side": "buy", "symbol": "BTCUSDT", "qty": "0.01", "price": "20000", "client_order_id": "form"}
    assert (await api.ask("POST", "/api/order", data=form)).status == 200
    assert (await api.order("form")).status == 200, "the same order in another notation is the same order"


QUANTITIES = ["NaN", "nan", "Infinity", "-1", "-0.5", "+1", "1e3", "1E-3", "1" * 30, "0." + "1" * 30, "0x10", "1_0"]


@pytest.mark.parametrize("field", ["qty", "price"])
@pytest.mark.parametrize("text", [*QUANTITIES, "", " 1", "1 ", "1,5", "\u0661", "0.000000001", "99999999999999"])
async def test_a_quantity_that_is_no_plain_decimal_is_refused(api: Api, field: str, text: str) -> None:
    before = await _orders(api)
    answer = await api.order("quantity", **{field: text})
    assert (answer.status, answer.json["error"]) == (400, "bad_params")
    assert field in answer.json["message"]
    assert await _orders(api) == before


@pytest.mark.parametrize(
    "literal", ["NaN", "Infinity", "-Infinity", "-1", "1e3", "1" * 30, "true", "null", "[1]", "{}"]
)
async def test_a_json_number_that_is_no_plain_decimal_is_refused(api: Api, literal: str) -> None:
    body = f'{{"side":"BUY","symbol":"BTCUSDT","qty":{literal},"price":20000,"client_order_id":"literal"}}'
    answer = await api.ask("POST", "/api/order", data=body, headers={"Content-Type": "application/json"})
    assert answer.status == 400
    assert answer.json["error"] in {"bad_json", "bad_params"}
    assert "literal" not in await _orders(api)


async def test_zero_is_no_quantity(api: Api) -> None:
    assert (await api.order("zero", qty="0")).status == 400


async def test_json_numbers_are_read_by_their_text(api: Api) -> None:
    body = '{"side":"BUY","symbol":"BTCUSDT","qty":0.10000001,"price":20000.01,"client_order_id":"text"}'
    answer = await api.ask("POST", "/api/order", data=body, headers={"Content-Type": "application/json"})
    assert answer.status == 422, "a quantity off the lot grid must not be rounded on to it"
    assert answer.json["reason"] == "BAD_LOT"


async def test_an_id_is_used_once(api: Api) -> None:
    first = await api.order("once")
    again = await api.order("once")
    other = await api.order("once", qty="0.02")
    assert (first.status, again.status, other.status) == (200, 200, 409)
    assert other.json["error"] == "conflict"
    assert {k: v for k, v in first.json.items() if k != "request_id"} == {
        k: v for k, v in again.json.items() if k != "request_id"
    }


async def test_a_closed_orders_id_stays_taken(api: Api) -> None:
    await api.order("closed")
    assert (await api.post("/api/cancel", {"client_order_id": "closed"})).status == 200
    assert (await api.order("closed", qty="0.02")).status == 409
    state = await api.get("/api/order_state", client_order_id="closed")
    assert state.json["status"] == "CANCELLED"


async def test_cancel_of_an_unknown_id_is_not_found(api: Api) -> None:
    answer = await api.post("/api/cancel", {"client_order_id": "never-sent"})
    assert (answer.status, answer.json["error"]) == (404, "not_found")


async def test_a_rejected_order_is_no_success(api: Api) -> None:
    answer = await api.order("too-dear", qty="900000", price="40000", side="SELL")
    assert (answer.status, answer.json["error"], answer.json["ok"]) == (422, "risk_rejected", False)
    assert answer.json["reason"] == "INSUFFICIENT_FUNDS"


async def test_a_market_order_does_not_disturb_the_market(
    database: str, redis_url: str, engine_binary: Path, tmp_path: Path
) -> None:
    tape = tmp_path / "tape.csv"
    tape.write_text("ts_ms,trade_id,price,qty,buyer_maker\n1,1,39000,5,true\n2,2,39001,5,false\n")
    replay = {"VELOZ_MARKET_SOURCE": "replay", "VELOZ_REPLAY_FILE": str(tape), "VELOZ_REPLAY_SPEED": "0"}
    async with (
        running(tmp_path, environment(database, redis_url, engine_binary, **replay)) as gateway,
        Api(gateway) as api,
    ):

        async def played() -> bool:
            market = (await api.get("/api/market")).json
            return bool(market.get("price") == 39001)

        await until(played, seconds=5)
        before = (await api.get("/api/market")).json
        for side in ("BUY", "SELL"):
            answer = await api.post(
                "/api/order",
                {"side": side, "symbol": "BTCUSDT", "qty": "1", "type": "MARKET", "client_order_id": f"market-{side}"},
            )
            assert (answer.status, answer.json["status"]) == (200, "FILLED")
        after = (await api.get("/api/market")).json
        assert {name: after[name] for name in ("symbol", "price", "ts_ns")} == {
            name: before[name] for name in ("symbol", "price", "ts_ns")
        }


async def test_a_dead_engine_shows_at_once(database: str, redis_url: str, engine_binary: Path, tmp_path: Path) -> None:
    engine = tmp_path / "veloz_engine"
    shutil.copy(engine_binary, engine)
    async with running(tmp_path, environment(database, redis_url, engine)) as gateway, Api(gateway) as api:
        assert (await api.order("before")).status == 200
        engine.chmod(0o600)  # no other can be started
        _signal(gateway, signal.SIGKILL)
        await until(lambda: _is(gateway, 503), seconds=AT_ONCE_SECONDS)
        started = time.monotonic()
        answer = await api.order("while-dead")
        assert (answer.status, answer.json["error"]) == (503, "execution_unavailable")
        assert time.monotonic() - started < AT_ONCE_SECONDS
        assert "Retry-After" in answer.headers
        health = await api.get("/health/ready")
        assert health.json["components"]["engine"]["ok"] is False
        assert (await api.get("/health/live")).status == 200
        assert (await api.get("/api/execution/ping")).status == 503
        assert (await api.get("/api/order_state", client_order_id="before")).status == 200
        engine.chmod(0o755)
        await until(lambda: _is(gateway, 200), seconds=10)
        assert (await api.order("while-dead")).status == 200


async def test_a_hung_engine_is_no_silent_one(
    database: str, redis_url: str, engine_binary: Path, tmp_path: Path
) -> None:
    async with running(tmp_path, environment(database, redis_url, engine_binary)) as gateway, Api(gateway) as api:
        _signal(gateway, signal.SIGSTOP)
        started = time.monotonic()
        answer = await api.order("while-hung")
        assert answer.status == 504
        assert answer.json["error"] == "unknown"
        assert time.monotonic() - started < 3
        await asyncio.wait_for(gateway.ready(), 10)
        assert (await api.order("while-hung")).status == 200
        state = await api.get("/api/order_state", client_order_id="while-hung")
        assert state.json["status"] == "ACCEPTED"


async def _is(gateway: Gateway, status: int) -> bool:
    return (await gateway.health())[0] == status


def _signal(gateway: Gateway, number: signal.Signals) -> None:
    engine = gateway.engine()
    assert engine is not None
    os.kill(engine, number)
