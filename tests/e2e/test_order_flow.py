"""Recorded prints in, orders over HTTP, fills out: every figure adds up exactly, and a restart keeps them all."""

import asyncio
import csv
import statistics
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import psycopg

from tests.e2e.api import Api
from tests.faults.checker import check, report
from tests.faults.facts import gather
from tests.faults.gateway import environment, running
from tests.faults.stream import Follower
from tests.faults.waiting import until

HERE = Path(__file__).parent
RECORDED = HERE.parents[2] / "shared" / "data" / "btcusdt-trades-2021-01-08.csv"
BUNDLED = HERE.parent / "data" / "synthetic-trades.csv"
START = {"USDT": Decimal(1_000_000), "BTC": Decimal(50)}
ORDERS = 60
MARKET_ORDERS = 10
SPEED = 10  # 46 recorded seconds take less than five

Item = dict[str, Any]


def _tape() -> Path:
    return RECORDED if RECORDED.exists() else BUNDLED


def _prices(tape: Path) -> list[Decimal]:
    with tape.open(newline="") as lines:
        return [Decimal(row["price"]) for row in csv.DictReader(lines)]


async def test_recorded_prints_fill_orders_and_every_figure_adds_up(
    database: str, redis_url: str, engine_binary: Path, tmp_path: Path
) -> None:
    tape = _tape()
    environ = environment(
        database,
        redis_url,
        engine_binary,
        VELOZ_MARKET_SOURCE="replay",
        VELOZ_REPLAY_FILE=str(tape),
        VELOZ_REPLAY_SPEED=str(SPEED),
        VELOZ_REPLAY_LOOP="true",
        VELOZ_PAPER_BALANCES=",".join(f"{asset}={amount}" for asset, amount in START.items()),
    )
    async with running(tmp_path, environ) as gateway, Api(gateway) as api:
        follower = Follower(gateway.url, gateway.headers)
        following = asyncio.create_task(follower.run())
        await _trade(api, _prices(tape))
        await until(lambda: _trades_reached(api, ORDERS // 2), seconds=20)
        assert (await api.post("/api/cancel_all", {})).status == 200
        before = await _everything(api)
        _adds_up(before)
        with psycopg.connect(database) as connection:
            facts = gather(connection)
        await follower.reached(facts.head)
        following.cancel()
        fills = [event.data for event in follower.events if event.type == "fill"]
        assert [fill["trade_id"] for fill in fills] == sorted(trade["trade_id"] for trade in before["trades"])
        assert not (found := check(facts)), report(found)
        await gateway.stop()
        gateway.start()
        await gateway.ready()
        assert await _everything(api) == before


async def _trade(api: Api, prices: Sequence[Decimal]) -> None:
    """Orders around the middle of what was traded, so that the recorded prints reach them from both sides."""
    middle, spread = statistics.median(prices), (max(prices) - min(prices)) / 4
    for number in range(ORDERS):
        side = "BUY" if number % 2 == 0 else "SELL"
        away = spread * (number // 2) / ORDERS
        price = (middle - away if side == "BUY" else middle + away).quantize(Decimal("0.01"))
        answer = await api.order(f"limit-{number}", side=side, qty="0.00123", price=str(price), stp="NONE")
        assert answer.status == 200, answer.text
    for number in range(MARKET_ORDERS):
        body = {"side": "BUY", "symbol": "BTCUSDT", "qty": "0.001", "type": "MARKET", "stp": "NONE"}
        answer = await api.post("/api/order", body | {"client_order_id": f"market-{number}"})
        assert answer.status == 200, answer.text


async def _trades_reached(api: Api, count: int) -> bool:
    return len((await api.get("/api/trades", limit="500")).json["items"]) >= count


async def _everything(api: Api) -> Item:
    """All that the account can be asked for, paged where it is long."""
    account = (await api.get("/api/account")).json
    return {
        "balances": sorted(account["balances"], key=lambda balance: str(balance["asset"])),
        "trades": await _all(api, "/api/trades"),
        "orders": await _all(api, "/api/orders_state"),
        "positions": (await api.get("/api/positions")).json["items"],
    }


async def _all(api: Api, path: str) -> list[Item]:
    items = (await api.get(path, limit="500")).json["items"]
    assert len(items) < 500
    return list(items)


def _adds_up(account: Item) -> None:
    """Balances are what was given plus what was traded, less fees, to the last digit; nothing is locked any more."""
    expected = dict(START)
    for trade in account["trades"]:
        sign = 1 if trade["side"] == "BUY" else -1
        notional = (Decimal(trade["price"]) * Decimal(trade["qty"])).quantize(Decimal("1e-8"), rounding="ROUND_FLOOR")
        expected["BTC"] += sign * Decimal(trade["qty"])
        expected["USDT"] -= sign * notional
        expected[trade["fee_asset"]] -= Decimal(trade["fee"])
    free = {balance["asset"]: Decimal(balance["free"]) for balance in account["balances"]}
    assert free == expected
    assert all(balance["locked"] == 0 for balance in account["balances"])
    executed = {order["client_order_id"]: Decimal(order["executed_qty"]) for order in account["orders"]}
    for order_id, quantity in executed.items():
        traded = [Decimal(t["qty"]) for t in account["trades"] if t["client_order_id"] == order_id]
        assert sum(traded, Decimal(0)) == quantity
    assert sum(executed.values()) > 0
