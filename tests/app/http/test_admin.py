"""What an admin does over HTTP, and what stays of it."""

from __future__ import annotations

from tests.app.http.conftest import Gateway, MakeGateway


async def test_an_account_is_opened_with_balances_and_limits_once(gateway: Gateway) -> None:
    body = {
        "account": "fund",
        "balances": {"USDT": "1000.5", "BTC": 2},
        "limits": {"max_order_qty": "1.5", "order_rate": 5},
    }
    made = await gateway.post("/api/admin/accounts", body)
    assert (made.status, made.json) == (201, {"ok": True, "account": "fund"})
    held = (await gateway.get("/api/account?account=fund")).json["balances"]
    assert held == [{"asset": "BTC", "free": 2, "locked": 0}, {"asset": "USDT", "free": 1000.5, "locked": 0}]
    limits = (await gateway.get("/api/admin/limits?account=fund")).json
    assert (limits["max_order_qty"], limits["order_rate"], limits["kill"]) == (1.5, 5, False)
    (await gateway.post("/api/admin/accounts", body)).refused(409, "conflict")
    accounts = (await gateway.get("/api/admin/accounts?limit=1")).json
    assert [a["account"] for a in accounts["items"]] == ["fund"]
    rest = (await gateway.get(f"/api/admin/accounts?limit=1&cursor={accounts['next']}")).json
    assert ([a["account"] for a in rest["items"]], rest["next"]) == (["main"], None)


async def test_an_account_against_the_rules_is_refused(gateway: Gateway) -> None:
    for body in (
        {},
        {"account": "a b"},
        {"account": "a", "balances": {"US DT": "1"}},
        {"account": "a", "balances": {"USDT": "-1"}},
        {"account": "a", "balances": {"USDT": "1e5"}},
        {"account": "a", "balances": []},
        {"account": "a", "limits": {"max_order": "1"}},
        {"account": "a", "limits": {"order_rate": "1.5"}},
        {"account": "a", "limits": {"maker_fee_bps": "10001"}},
    ):
        (await gateway.post("/api/admin/accounts", body)).refused(400, "bad_params")


async def test_limits_change_at_run_time_and_stay(make_gateway: MakeGateway) -> None:
    async with make_gateway() as gateway:
        for method in ("PUT", "PATCH"):
            changed = await gateway.call(
                method, "/api/admin/limits", json={"max_order_qty": "0.1", "taker_fee_bps": 7.5}
            )
            assert changed.status == 200, changed.text
            assert (changed.json["max_order_qty"], changed.json["taker_fee_bps"]) == (0.1, 7.5)
        assert (await gateway.order()).refused(422, "risk_rejected")["reason"] == "MAX_ORDER_QTY"
        (await gateway.call("PUT", "/api/admin/limits", json={})).refused(400, "bad_params")
        (await gateway.call("PUT", "/api/admin/limits", json={"account": "x", "order_rate": 1})).refused(
            404, "not_found"
        )
    async with make_gateway() as again:
        assert (await again.get("/api/admin/limits")).json["max_order_qty"] == 0.1
        assert (await again.order(client_order_id="b")).refused(422, "risk_rejected")["reason"] == "MAX_ORDER_QTY"


async def test_the_kill_switch_stops_one_account_or_all(gateway: Gateway) -> None:
    await gateway.post("/api/admin/accounts", {"account": "second", "balances": {"USDT": "100000"}})
    for account in (None, "main"):
        body = {} if account is None else {"account": account}
        reply = await gateway.post("/api/admin/kill_switch", body | {"on": True})
        named = ["main", "second"] if account is None else ["main"]
        told = [{"account": name, "ok": True, "detail": ""} for name in named]
        assert reply.json == {"ok": True, "account": account, "on": True, "accounts": told}
        assert (await gateway.order(client_order_id=f"k{account}")).refused(422, "risk_rejected")[
            "reason"
        ] == "KILL_SWITCH"
        other = await gateway.order(client_order_id=f"o{account}", account="second")
        assert other.status == (422 if account is None else 200), other.text
        await gateway.post("/api/admin/kill_switch", body | {"on": False})
        assert (await gateway.order(client_order_id=f"l{account}", qty="0.1")).status == 200
    (await gateway.post("/api/admin/kill_switch", {"on": True, "account": "nobody"})).refused(404, "not_found")
    (await gateway.post("/api/admin/kill_switch", {"on": "yes"})).refused(400, "bad_params")


async def test_configuration_changes_take_effect_stay_and_have_a_history(make_gateway: MakeGateway) -> None:
    async with make_gateway() as gateway:
        for value in (50, "60"):
            assert (
                await gateway.call("PUT", "/api/admin/config", json={"name": "rate_limit_key", "value": value})
            ).status == 200
        assert (await gateway.get("/api/market")).headers["X-RateLimit-Limit"] == "60"
        history = (await gateway.get("/api/admin/config/history?name=rate_limit_key")).json["items"]
        assert [(h["value"], h["changed_by"]) for h in history] == [(60, "first"), (50, "first")]
        for name, value in (("rate_limit_key", -1), ("rate_limit_key", "x"), ("log_level", "LOUD"), ("api_key", "x")):
            reply = await gateway.call("PUT", "/api/admin/config", json={"name": name, "value": value})
            reply.refused(400, "bad_params")
    async with make_gateway() as again:
        config = {c["name"]: c for c in (await again.get("/api/admin/config")).json["items"]}
        assert (config["rate_limit_key"]["value"], config["rate_limit_key"]["changed_by"]) == (60, "first")
        assert config["log_level"] == {"name": "log_level", "value": "INFO", "changed_by": None, "changed_at": None}
        assert (await again.get("/api/market")).headers["X-RateLimit-Limit"] == "60"


async def test_every_change_leaves_a_row_in_the_audit_trail(gateway: Gateway) -> None:
    headers = {"X-API-Key": gateway.key, "X-Request-ID": "audited"}
    for method, path, body in (
        ("POST", "/api/admin/accounts", {"account": "second"}),
        ("PUT", "/api/admin/limits", {"account": "second", "order_rate": 3}),
        ("POST", "/api/admin/kill_switch", {"account": "second", "on": True}),
        ("PUT", "/api/admin/config", {"name": "log_level", "value": "INFO"}),
        ("POST", "/api/auth/keys", {"account": "second", "role": "viewer"}),
    ):
        reply = await gateway.call(method, path, json=body, headers=headers)
        assert reply.status in {200, 201}, reply.text
    trail = (await gateway.get("/api/admin/audit?limit=5&actor=first")).json
    assert [entry["action"] for entry in trail["items"]] == [
        "key.created",
        "config.changed",
        "kill_switch.set",
        "limits.set",
        "account.create",
    ]
    assert {(e["actor"], e["address"], e["request_id"]) for e in trail["items"]} == {("first", "127.0.0.1", "audited")}
    assert trail["items"][3]["detail"] == {"account": "second", "limits": {"order_rate": "3"}}
