"""Who gets in over HTTP: keys, roles, sessions, cookies, limits, and the trail they leave."""

from __future__ import annotations

import asyncio
import hashlib
import time

import pytest

from tests.app.http.conftest import KEY, Gateway, MakeGateway, until

PASSWORD = "correct horse battery staple"  # noqa: S105 - a test's


async def test_without_a_credential_nothing_is_told(gateway: Gateway) -> None:
    for path in ("/api/config", "/api/market", "/api/orders", "/api/account", "/api/auth/keys", "/api/admin/audit"):
        reply = await gateway.get(path, headers={})
        reply.refused(401, "authentication_required")
        assert reply.headers["WWW-Authenticate"] == "Bearer"
        (await gateway.get(path, headers={"X-API-Key": "0" * 64})).refused(401, "invalid_api_key")
        (await gateway.get(path, headers={"Authorization": "Bearer " + "0" * 64})).refused(401, "invalid_token")
    for path in ("/health", "/health/live", "/health/ready", "/api/openapi.json"):
        assert (await gateway.get(path, headers={})).status == 200


async def test_a_key_works_in_either_header(gateway: Gateway) -> None:
    assert (await gateway.get("/api/market", headers={"X-API-Key": KEY})).status == 200
    assert (await gateway.get("/api/market", headers={"Authorization": f"Bearer {KEY}"})).status == 200


async def test_each_role_may_do_its_own_and_no_more(gateway: Gateway) -> None:
    viewer, trader = await gateway.make_key("viewer"), await gateway.make_key("trader")
    order = {"side": "BUY", "symbol": "BTCUSDT", "qty": "0.1", "price": "30000", "client_order_id": "r"}
    for key, may_trade in ((viewer, False), (trader, True)):
        headers = {"X-API-Key": key}
        assert (await gateway.get("/api/account", headers=headers)).status == 200
        placed = await gateway.post("/api/order", order, headers=headers)
        assert placed.status == (200 if may_trade else 403), placed.text
        (await gateway.get("/api/admin/accounts", headers=headers)).refused(403, "forbidden")
        (await gateway.post("/api/auth/keys", {}, headers=headers)).refused(403, "forbidden")
    (await gateway.get("/api/account?account=other", headers={"X-API-Key": trader})).refused(403, "forbidden")


async def test_a_key_is_made_listed_without_hash_and_revoked(gateway: Gateway) -> None:
    made = await gateway.post("/api/auth/keys", {"role": "trader", "name": "bot 1"})
    assert made.status == 201
    key = made.json
    assert len(key["api_key"]) == 64
    listed = await gateway.get("/api/auth/keys")
    assert key["api_key"] not in listed.text
    assert hashlib.sha256(key["api_key"].encode()).hexdigest() not in listed.text
    assert {i["key_id"] for i in listed.json["items"]} == {"first", key["key_id"]}
    headers = {"X-API-Key": key["api_key"]}
    assert (await gateway.get("/api/market", headers=headers)).status == 200
    assert (await gateway.call("DELETE", "/api/auth/keys", json={"key_id": key["key_id"]})).json == {"ok": True}
    (await gateway.get("/api/market", headers=headers)).refused(401, "invalid_api_key")
    (await gateway.call("DELETE", "/api/auth/keys?key_id=nothing")).refused(404, "not_found")
    (await gateway.call("DELETE", "/api/auth/keys?key_id=first")).refused(409, "conflict")
    (await gateway.call("DELETE", "/api/auth/keys")).refused(400, "bad_params")
    (await gateway.post("/api/auth/keys", {"account": "nobody"})).refused(404, "not_found")


async def session(gateway: Gateway) -> dict[str, str]:
    made = await gateway.post("/api/auth/session")
    assert made.status == 200, made.text
    cookie = made.headers["Set-Cookie"]
    assert all(word in cookie for word in ("HttpOnly", "SameSite=Strict", "Path=/"))
    body: dict[str, str] = made.json
    gateway.client.cookie_jar.clear()
    return body


async def test_a_session_stands_for_its_key_until_it_is_ended(gateway: Gateway) -> None:
    made = await session(gateway)
    bearer = {"Authorization": f"Bearer {made['token']}"}
    assert (await gateway.get("/api/account", headers=bearer)).status == 200
    (await gateway.post("/api/auth/session", headers=bearer)).refused(403, "forbidden")
    assert (await gateway.call("DELETE", "/api/auth/session", headers=bearer)).json == {"ok": True}
    (await gateway.get("/api/account", headers=bearer)).refused(401, "invalid_token")
    (await gateway.call("DELETE", "/api/auth/session")).refused(400, "bad_params")
    assert [a for (a,) in gateway.rows("SELECT action FROM audit ORDER BY id")] == [
        "key.created",
        "session.created",
        "session.ended",
    ]


async def test_a_cookie_reads_and_changes_only_from_the_same_origin(gateway: Gateway) -> None:
    cookie = {"Cookie": f"veloz_session={(await session(gateway))['token']}"}
    assert (await gateway.get("/api/account", headers=cookie)).status == 200
    cancel = {"client_order_id": "nothing"}
    (await gateway.post("/api/cancel", cancel, headers=cookie)).refused(403, "forbidden")
    cross = cookie | {"Origin": "https://evil.example"}
    (await gateway.post("/api/cancel", cancel, headers=cross)).refused(403, "forbidden")
    own = cookie | {"Origin": f"http://127.0.0.1:{gateway.port}"}
    (await gateway.post("/api/cancel", cancel, headers=own)).refused(404, "not_found")


async def test_behind_tls_the_cookie_is_secure(make_gateway: MakeGateway) -> None:
    async with make_gateway(SESSION_COOKIE_SECURE="true") as gateway:
        cookie = (await gateway.post("/api/auth/session")).headers["Set-Cookie"]
    assert cookie.startswith("__Host-veloz_session=")
    assert "Secure" in cookie


async def test_a_revoked_key_ends_its_sessions(gateway: Gateway) -> None:
    key = (await gateway.post("/api/auth/keys", {"role": "viewer"})).json
    made = (await gateway.post("/api/auth/session", headers={"X-API-Key": key["api_key"]})).json
    bearer = {"Authorization": f"Bearer {made['token']}"}
    assert (await gateway.get("/api/account", headers=bearer)).status == 200
    await gateway.call("DELETE", f"/api/auth/keys?key_id={key['key_id']}")
    (await gateway.get("/api/account", headers=bearer)).refused(401, "invalid_token")


async def test_log_in_by_password_is_off_unless_one_is_configured(make_gateway: MakeGateway) -> None:
    async with make_gateway() as gateway:
        (await gateway.post("/api/auth/login", {"user_id": "admin", "password": PASSWORD})).refused(404, "not_found")
    async with make_gateway(ADMIN_PASSWORD=PASSWORD) as other:
        wrong = await other.post("/api/auth/login", {"user_id": "admin", "password": "x" * 20}, headers={})
        wrong.refused(401, "invalid_token")
        (await other.post("/api/auth/login", {"user_id": "root", "password": PASSWORD}, headers={})).refused(
            401, "invalid_token"
        )
        made = await other.post("/api/auth/login", {"user_id": "admin", "password": PASSWORD}, headers={})
        assert made.status == 200, made.text
        bearer = {"Authorization": f"Bearer {made.json['token']}"}
        other.client.cookie_jar.clear()
        assert (await other.get("/api/admin/audit", headers=bearer)).status == 200


async def test_failed_log_ins_are_limited_by_address_and_noted(make_gateway: MakeGateway) -> None:
    async with make_gateway(ADMIN_PASSWORD=PASSWORD, RATE_LIMIT_LOGIN="3") as gateway:
        body = {"user_id": "admin", "password": "wrong"}
        statuses = [(await gateway.post("/api/auth/login", body, headers={})).status for _ in range(6)]
        assert statuses == [401, 401, 401, 429, 429, 429]
        reply = await gateway.get("/api/market", headers={"X-API-Key": "0" * 64})
        reply.refused(429, "rate_limit_exceeded")
        assert int(reply.headers["Retry-After"]) >= 1
        assert (await gateway.get("/api/market")).status == 200, "a good key from the same address goes on"
        assert gateway.rows("SELECT count(*) FROM audit WHERE action = 'session.failed'") == [(3,)]


async def test_past_the_limit_the_right_password_is_refused_too(make_gateway: MakeGateway) -> None:
    async with make_gateway(ADMIN_PASSWORD=PASSWORD, RATE_LIMIT_LOGIN="3") as gateway:
        right, wrong = ({"user_id": "admin", "password": word} for word in (PASSWORD, "wrong"))
        replies = await asyncio.gather(*(gateway.post("/api/auth/login", wrong, headers={}) for _ in range(20)))
        assert sum(reply.status == 401 for reply in replies) == 3
        (await gateway.post("/api/auth/login", right, headers={})).refused(429, "rate_limit_exceeded")
        assert (await gateway.get("/api/market")).status == 200, "a key from the same address goes on"


async def test_a_wrong_key_does_not_lock_the_password_out(make_gateway: MakeGateway) -> None:
    async with make_gateway(ADMIN_PASSWORD=PASSWORD, RATE_LIMIT_LOGIN="3") as gateway:
        for _ in range(4):
            await gateway.get("/api/market", headers={"X-API-Key": "0" * 64})
        right = {"user_id": "admin", "password": PASSWORD}
        assert (await gateway.post("/api/auth/login", right, headers={})).status == 200


async def test_a_key_over_its_limit_is_refused_until_the_time_that_is_told(make_gateway: MakeGateway) -> None:
    async with make_gateway(RATE_LIMIT_KEY="20", RATE_LIMIT_WINDOW="2") as gateway:
        replies = await asyncio.gather(*(gateway.get("/api/market") for _ in range(40)))
        assert sorted({reply.status for reply in replies}) == [200, 429]
        assert sum(reply.status == 200 for reply in replies) == 20
        refused = next(reply for reply in replies if reply.status == 429)
        refused.refused(429, "rate_limit_exceeded")
        assert refused.headers["X-RateLimit-Limit"] == "20"
        assert refused.headers["X-RateLimit-Used"] == "20"
        assert refused.headers["X-RateLimit-Remaining"] == "0"
        await asyncio.sleep(int(refused.headers["Retry-After"]))
        assert (await gateway.get("/api/market")).status == 200


async def test_a_list_weighs_more_than_an_order(make_gateway: MakeGateway) -> None:
    async with make_gateway(RATE_LIMIT_KEY="100") as gateway:
        left = [
            int((await gateway.get(path)).headers["X-RateLimit-Remaining"]) for path in ("/api/market", "/api/orders")
        ]
        assert left == [99, 94]


async def test_without_redis_keys_and_limits_work_and_sessions_say_so(make_gateway: MakeGateway) -> None:
    async with make_gateway(REDIS_URL="unix:///nonexistent/redis.sock", RATE_LIMIT_KEY="30") as gateway:
        assert (await gateway.order()).status == 200
        reply = await gateway.post("/api/auth/session")
        reply.refused(503, "sessions_unavailable")
        assert reply.headers["Retry-After"] == "1"
        health = (await gateway.get("/health")).json
        assert health["ok"] is True
        assert health["components"]["redis"]["ok"] is False
        begun = time.perf_counter()
        statuses = [(await gateway.get("/api/market")).status for _ in range(40)]
        assert statuses.count(200) == 30 - 1
        assert time.perf_counter() - begun < 2


async def test_authentication_can_be_off_on_loopback(make_gateway: MakeGateway) -> None:
    async with make_gateway(AUTH="false") as gateway:
        assert (await gateway.get("/api/admin/accounts", headers={})).status == 200
        assert (await gateway.get("/api/config", headers={})).json["auth_enabled"] is False
        cancel, own = {"client_order_id": "x"}, f"http://127.0.0.1:{gateway.port}"
        for page in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Host": "evil.example"}):
            (await gateway.post("/api/cancel", cancel, headers=page)).refused(403, "forbidden")
        (await gateway.get("/api/account", headers={"Host": "evil.example:8080"})).refused(403, "forbidden")
        for good in ({}, {"Origin": own}, {"Host": "localhost"}, {"Host": f"[::1]:{gateway.port}"}):
            (await gateway.post("/api/cancel", cancel, headers=good)).refused(404, "not_found")


async def test_no_secret_is_written_anywhere(gateway: Gateway, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("DEBUG")
    key = (await gateway.post("/api/auth/keys", {"role": "trader"})).json["api_key"]
    made = (await gateway.post("/api/auth/session", headers={"X-API-Key": key})).json["token"]
    await gateway.get("/api/account", headers={"Authorization": f"Bearer {made}"})
    await gateway.get(f"/api/account?account={key}")
    tables = [
        t for (t,) in gateway.rows("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'")
    ]
    stored = "".join(str(gateway.rows(f"SELECT t::text FROM {table} t")) for table in tables)  # noqa: S608 - its own names
    config = (await gateway.get("/api/config")).text + (await gateway.get("/metrics")).text
    for secret in (KEY, key, made):
        assert secret not in stored
        assert secret not in caplog.text
        assert secret not in config
        assert secret not in repr(gateway.services.settings)


@pytest.mark.parametrize(
    ("access", "headers", "status"),
    [
        ("loopback", {}, 200),
        ("loopback", {"X-Forwarded-For": "127.0.0.1"}, 401),
        ("loopback", {"x-real-ip": "127.0.0.1"}, 401),
        ("open", {"X-Forwarded-For": "1.2.3.4"}, 200),
        ("key", {}, 401),
        ("key", {"X-API-Key": KEY}, 200),
    ],
)
async def test_metrics_are_read_by_whom_the_setting_says(
    make_gateway: MakeGateway, access: str, headers: dict[str, str], status: int
) -> None:
    async with make_gateway(METRICS_ACCESS=access) as gateway:
        assert (await gateway.get("/metrics", headers=headers)).status == status


async def test_the_metrics_that_dashboards_ask_for_are_there(gateway: Gateway) -> None:
    await gateway.order()

    async def market_seen() -> bool:
        return "veloz_market_events_total{" in (await gateway.get("/metrics")).text

    await until(market_seen, 5)
    page = (await gateway.get("/metrics")).text
    assert "_created" not in page
    for line in (
        "veloz_orders_total 1.0",
        'veloz_orders_by_status{status="ACCEPTED"} 1.0',
        'veloz_orders_by_status{status="FILLED"} 0.0',
        "veloz_websocket_connections 0.0",
        "veloz_websocket_reconnects 0.0",
        'veloz_http_request_seconds_count{method="POST",route="/api/order",status="200"} 1.0',
    ):
        assert f"\n{line}\n" in page


async def test_open_orders_are_counted_right_through_cancels_and_restarts(make_gateway: MakeGateway) -> None:
    def counted(page: str, status: str) -> bool:
        return f'\nveloz_orders_by_status{{status="{status}"}} 1.0\n' in page

    async with make_gateway() as gateway:
        for name in ("a", "b"):
            assert (await gateway.order(client_order_id=name)).status == 200
        await gateway.post("/api/cancel", {"client_order_id": "a"})
        page = (await gateway.get("/metrics")).text
        assert counted(page, "ACCEPTED")
        assert counted(page, "CANCELLED")
    async with make_gateway() as gateway:
        assert counted((await gateway.get("/metrics")).text, "ACCEPTED")
        await gateway.post("/api/cancel", {"client_order_id": "b"})
        page = (await gateway.get("/metrics")).text
        assert not counted(page, "ACCEPTED")
        assert counted(page, "CANCELLED")
