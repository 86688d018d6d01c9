"""Orders over HTTP: sent, found again, refused; and the account they belong to."""

from __future__ import annotations

import asyncio
import json
from decimal import Decimal
from itertools import count
from typing import Any

import pytest

from tests.app.http.conftest import SHARED, Gateway, MakeGateway, until

pytestmark = SHARED
_IDS = count(1)


def an_id() -> str:
    return f"t{next(_IDS)}"


async def test_an_order_is_answered_with_its_state_and_found_again(shared: Gateway) -> None:
    order_id = an_id()
    made = await shared.order(client_order_id=order_id, qty=0.25, price="30000.5")
    assert made.status == 200
    body = made.json
    assert (body["ok"], body["client_order_id"], body["status"], body["executed_qty"]) == (
        True,
        order_id,
        "ACCEPTED",
        0,
    )
    state = (await shared.get(f"/api/order_state?client_order_id={order_id}")).json
    assert {
        "order_qty": 0.25,
        "limit_price": 30000.5,
        "status": "ACCEPTED",
        "side": "BUY",
        "reason": "",
    }.items() <= state.items()
    assert state["seq"] == body["seq"]


async def test_a_form_does_the_same_as_json(shared: Gateway) -> None:
    order_id = an_id()
    form = {"side": "BUY", "symbol": "BTCUSDT", "qty": "0.25", "price": "30000", "client_order_id": order_id}
    first = await shared.post("/api/order", data=form)
    assert first.status == 200, first.text
    assert (await shared.post("/api/order", form)).json == first.json


async def test_numbers_are_exact_in_both_directions(shared: Gateway) -> None:
    order_id = an_id()
    text = f'{{"side":"BUY","symbol":"BTCUSDT","qty":1.23457,"price":10000.01,"client_order_id":"{order_id}"}}'
    made = await shared.post(
        "/api/order", data=text, headers={"X-API-Key": shared.key, "Content-Type": "application/json"}
    )
    assert made.status == 200, made.text
    state = await shared.get(f"/api/order_state?client_order_id={order_id}")
    exact = json.loads(state.text, parse_float=Decimal)
    assert (str(exact["order_qty"]), str(exact["limit_price"])) == ("1.23457", "10000.01")
    await shared.post("/api/cancel", {"client_order_id": order_id})


async def test_a_market_order_is_filled_and_its_trades_and_position_add_up(shared: Gateway) -> None:
    order_id = an_id()
    await until_market(shared)
    made = await shared.order(client_order_id=order_id, type="MARKET", qty="0.001", price=None)
    assert made.json["status"] == "FILLED", made.text
    trades = (await shared.get(f"/api/trades?client_order_id={order_id}")).json["items"]
    assert sum(Decimal(str(t["qty"])) for t in trades) == Decimal("0.001")
    assert {t["liquidity"] for t in trades} == {"taker"}
    position = (await shared.get("/api/positions")).json["items"][0]
    assert position["symbol"] == "BTCUSDT"
    assert Decimal(str(position["qty"])) == Decimal("0.001")


async def until_market(gateway: Gateway) -> None:
    async def quoted() -> bool:
        return (await gateway.get("/api/market")).json["ask"] is not None

    await until(quoted, 5)


async def test_a_market_order_does_not_disturb_the_market(shared: Gateway) -> None:
    await until_market(shared)
    assert (await shared.order(client_order_id=an_id(), type="MARKET", qty="0.001", price=None)).status == 200
    market = (await shared.get("/api/market")).json
    assert market["price"] > 0
    assert market["bid"] < market["ask"]
    assert (await shared.get("/api/market?symbol=ETHUSDT")).json["symbol"] == "ETHUSDT"
    assert [m["symbol"] for m in (await shared.get("/api/markets")).json["items"]] == ["BTCUSDT", "ETHUSDT"]
    (await shared.get("/api/market?symbol=NOSUCH")).refused(404, "not_found")


async def test_the_same_request_gets_the_first_answer_and_another_a_conflict(shared: Gateway) -> None:
    order_id = an_id()
    replies = await asyncio.gather(*(shared.order(client_order_id=order_id) for _ in range(20)))
    assert {reply.status for reply in replies} == {200}
    assert len({reply.text for reply in replies}) == 1
    (await shared.order(client_order_id=order_id, qty="0.6")).refused(409, "conflict")
    await shared.post("/api/cancel", {"client_order_id": order_id})


async def test_a_rejected_order_tells_the_reason_its_id_and_seq(shared: Gateway) -> None:
    order_id = an_id()
    body = (await shared.order(client_order_id=order_id, qty="1000")).refused(422, "risk_rejected")
    assert (body["reason"], body["client_order_id"]) == ("INSUFFICIENT_FUNDS", order_id)
    again = (await shared.order(client_order_id=order_id, qty="1000")).refused(422, "risk_rejected")
    assert again["seq"] == body["seq"]
    unknown = (await shared.order(client_order_id=an_id(), symbol="NOSUCH")).refused(422, "risk_rejected")
    assert unknown["reason"] == "UNKNOWN_SYMBOL"


async def test_an_order_is_cancelled_once_and_an_unknown_one_not_at_all(shared: Gateway) -> None:
    order_id = an_id()
    await shared.order(client_order_id=order_id)
    (await shared.post("/api/cancel", {"client_order_id": order_id, "symbol": "ETHUSDT"})).refused(404, "not_found")
    first = await shared.post("/api/cancel", {"client_order_id": order_id, "symbol": "BTCUSDT"})
    assert (first.status, first.json["status"], first.json["reason"]) == (200, "CANCELLED", "USER")
    assert (await shared.post("/api/cancel", {"client_order_id": order_id})).json == first.json
    (await shared.post("/api/cancel", {"client_order_id": "nothing"})).refused(404, "not_found")
    (await shared.get("/api/order_state?client_order_id=nothing")).refused(404, "not_found")
    (await shared.get("/api/order_state")).refused(400, "bad_params")


async def test_an_order_is_amended(shared: Gateway) -> None:
    order_id = an_id()
    await shared.order(client_order_id=order_id)
    changed = await shared.post("/api/order/amend", {"client_order_id": order_id, "qty": "0.2", "price": 29000})
    assert changed.status == 200, changed.text
    state = (await shared.get(f"/api/order_state?client_order_id={order_id}")).json
    assert (state["order_qty"], state["limit_price"]) == (0.2, 29000)
    (await shared.post("/api/order/amend", {"client_order_id": order_id})).refused(400, "bad_params")
    (await shared.post("/api/order/amend", {"client_order_id": "nothing", "qty": 1})).refused(404, "not_found")
    await shared.post("/api/cancel", {"client_order_id": order_id})


async def pages(gateway: Gateway, path: str, limit: int) -> list[dict[str, Any]]:
    items: list[dict[str, Any]] = []
    cursor: str | None = ""
    while cursor is not None:
        page = (await gateway.get(f"{path}limit={limit}{f'&cursor={cursor}' if cursor else ''}")).json
        assert len(page["items"]) <= limit
        items += page["items"]
        cursor = page["next"]
    return items


async def test_lists_come_newest_first_in_pages_without_gap_or_repetition(shared: Gateway) -> None:
    ids = [an_id() for _ in range(7)]
    for order_id in ids:
        await shared.order(client_order_id=order_id, qty="0.01")
    states = await pages(shared, "/api/orders_state?open=true&", 3)
    assert [s["client_order_id"] for s in states][:7] == ids[::-1]
    every = await pages(shared, "/api/orders?", 4)
    assert [e["seq"] for e in every] == sorted({e["seq"] for e in every}, reverse=True)
    assert {e["type"] for e in every} <= {"order_update", "fill", "error"}
    one = await pages(shared, f"/api/orders?client_order_id={ids[0]}&", 10)
    assert [(e["status"], e["client_order_id"]) for e in one] == [("ACCEPTED", ids[0])]
    cancelled = await shared.post("/api/cancel_all", {"symbol": "BTCUSDT"})
    assert {i["client_order_id"] for i in cancelled.json["items"]} >= set(ids)
    assert await pages(shared, "/api/orders_state?open=true&", 100) == []
    assert {s["status"] for s in await pages(shared, "/api/orders_state?status=CANCELLED&", 100)} == {"CANCELLED"}
    closed = await pages(shared, "/api/orders_state?open=false&symbol=BTCUSDT&", 5)
    assert len(closed) == len({s["client_order_id"] for s in closed}) >= 7


async def test_locked_funds_follow_the_orders(shared: Gateway) -> None:
    order_id = an_id()
    before = {b["asset"]: b for b in (await shared.get("/api/account")).json["balances"]}
    await shared.order(client_order_id=order_id, qty="0.1", price="20000")
    during = {b["asset"]: b for b in (await shared.get("/api/account")).json["balances"]}
    assert during["USDT"]["locked"] == before["USDT"]["locked"] + 2000
    await shared.post("/api/cancel", {"client_order_id": order_id})
    assert {b["asset"]: b for b in (await shared.get("/api/account")).json["balances"]} == before


async def test_the_engine_answers_a_ping(shared: Gateway) -> None:
    body = (await shared.get("/api/execution/ping")).json
    assert body["ok"] is True
    assert 0 < body["result"]["seconds"] < 2


@pytest.mark.asyncio(loop_scope="function")
async def test_a_dead_engine_shows_in_ready_and_orders_are_refused_at_once(make_gateway: MakeGateway) -> None:
    async with make_gateway(ENGINE="/bin/false", ready=False) as gateway:
        reply = await gateway.get("/health/ready")
        assert reply.status == 503
        assert "engine" in reply.json["failing"]
        assert (await gateway.get("/health")).status == 503
        assert (await gateway.get("/health/live")).status == 200
