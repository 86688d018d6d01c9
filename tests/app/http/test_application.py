"""The process as it is run: what it refuses to start with, and how it leaves."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import aiohttp
import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from app.migrate import read_migrations
from app.schema_watch import FRESH_SECONDS
from app.steward import Steward
from app.tenure import Tenure
from tests.app.http.conftest import KEY, MakeGateway, is_ready, new_database, until

ROOT = Path(__file__).resolve().parents[3]
HEADERS = {"X-API-Key": KEY}


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@asynccontextmanager
async def process(**variables: str) -> AsyncIterator[asyncio.subprocess.Process]:
    """`python -m app gateway`, killed at the end if it still runs."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith("VELOZ_")}
    started = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "app",
        "gateway",
        cwd=ROOT,
        env=environ | {f"VELOZ_{name}": value for name, value in variables.items()},
        stderr=asyncio.subprocess.PIPE,
        limit=1 << 20,
        start_new_session=True,
    )
    try:
        yield started
    finally:
        if started.returncode is None:
            started.kill()
        await started.wait()


async def answers(base: str) -> bool:
    async with aiohttp.ClientSession() as client:
        try:
            async with client.get(f"{base}/health/ready") as response:
                return response.status == 200
        except aiohttp.ClientConnectionError:
            return False


async def test_sigterm_drains_and_the_next_start_has_all_state(
    database: str, redis_url: str, engine_binary: Path
) -> None:
    port = free_port()
    variables = {
        "POSTGRES_DSN": database,
        "REDIS_URL": redis_url,
        "ENGINE": str(engine_binary),
        "API_KEY": KEY,
        "PORT": str(port),
    }
    base = f"http://127.0.0.1:{port}"
    order = {"side": "BUY", "symbol": "BTCUSDT", "qty": "0.5", "price": "30000", "client_order_id": "a"}
    async with process(**variables) as first, aiohttp.ClientSession(base, headers=HEADERS) as client:
        await until(lambda: answers(base), 20)
        async with client.post("/api/order", json=order) as placed:
            answer = await placed.text()
        async with client.get("/api/stream") as stream:
            os.killpg(first.pid, signal.SIGTERM)  # as systemd does: the engine hears it too
            begun = time.monotonic()
            text = (await stream.content.read()).decode()
        assert text.rstrip().endswith("retry: 1000")
        async with asyncio.timeout(25):
            assert await first.wait() == 0
            assert first.stderr is not None
            assert b"ended with signal" not in await first.stderr.read()
        assert time.monotonic() - begun < 10
    async with process(**variables), aiohttp.ClientSession(base, headers=HEADERS) as client:
        begun = time.monotonic()
        await until(lambda: answers(base), 20)
        assert time.monotonic() - begun < 5
        async with client.post("/api/order", json=order) as again:
            assert await again.text() == answer
        async with client.get("/api/orders_state?open=true") as states:
            assert [s["client_order_id"] for s in (await states.json())["items"]] == ["a"]


async def refused(**variables: str) -> str:
    """What a gateway that does not start says."""
    async with process(**variables) as started:
        async with asyncio.timeout(20):
            _, said = await started.communicate()
        assert started.returncode == 1
    text = said.decode()
    assert "Traceback" not in text
    return text


async def test_a_start_with_bad_settings_names_all_of_them() -> None:
    text = await refused(PORT="x", API_KEY="changeme", PRESET="fast")
    for name in ("VELOZ_PORT", "VELOZ_API_KEY", "VELOZ_PRESET", "VELOZ_POSTGRES_DSN"):
        assert name in text


async def test_a_port_in_use_is_named(database: str, engine_binary: Path) -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        text = await refused(POSTGRES_DSN=database, ENGINE=str(engine_binary), PORT=str(port))
    assert str(port) in text


async def test_a_schema_of_a_newer_version_is_refused(postgres: str, engine_binary: Path) -> None:
    with new_database(postgres) as database:
        with psycopg.connect(database, autocommit=True) as connection:
            connection.execute(
                "CREATE TABLE schema_migrations (version integer PRIMARY KEY, name text NOT NULL, checksum text NOT NULL,"
                " applied_at timestamptz NOT NULL DEFAULT now())"
            )
            connection.execute("INSERT INTO schema_migrations VALUES (999, '0999_future.sql', 'x')")
        assert "0999_future.sql" in await refused(POSTGRES_DSN=database, ENGINE=str(engine_binary), PORT="0")


async def test_health_says_how_many_migrations_are_known_and_how_many_the_database_has(
    make_gateway: MakeGateway,
) -> None:
    ours = len(read_migrations())
    async with make_gateway() as gateway:

        async def says(database: int | None) -> bool:
            return bool((await gateway.get("/health")).json["schema"] == {"known": ours, "database": database})

        assert await says(ours)
        # A newer gateway brings the database further while this one runs.
        with psycopg.connect(gateway.database, autocommit=True) as connection:
            connection.execute("INSERT INTO schema_migrations VALUES (%s, '9999_newer.sql', 'x')", (ours + 1,))
        await until(lambda: says(ours + 1), 5)
        # What cannot be read is not known.
        with psycopg.connect(gateway.database, autocommit=True) as connection:
            connection.execute("ALTER TABLE schema_migrations RENAME TO gone")
        await until(lambda: says(None), 2 * FRESH_SECONDS)


async def test_a_defect_that_ends_the_order_path_ends_liveness_too(
    make_gateway: MakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with make_gateway() as gateway:
        supervisor = gateway.services.exchange._supervisor

        async def defect(_: Tenure) -> Steward:
            raise AssertionError("planted")

        monkeypatch.setattr(supervisor, "_begin", defect)
        supervisor.current().abandon("for this test")

        async def dead() -> bool:
            return (await gateway.get("/health/live")).status == 503

        await until(dead, 5)
        assert "planted" in (await gateway.get("/health/ready")).text
        (await gateway.order()).refused(503, "execution_unavailable")


async def test_a_loop_that_stood_still_and_runs_again_is_alive_and_says_how_late_it_was(
    make_gateway: MakeGateway,
) -> None:
    """A kubelet asks every 5 s and kills after 3 failures: one stall must not count as more than the one that it was."""
    async with make_gateway() as gateway:
        gateway.services.lifecycle._lags.append((time.monotonic(), 6.0))
        live = await gateway.get("/health/live")
        assert (live.status, live.json["ok"]) == (200, True)
        assert live.json["event_loop_lag_seconds"] == 6.0


async def test_a_gateway_waits_for_its_database_and_says_so(postgres: str, make_gateway: MakeGateway) -> None:
    name = f"late_{os.getpid()}_{time.monotonic_ns()}"
    dsn = make_conninfo(postgres, dbname=name)
    async with make_gateway(POSTGRES_DSN=dsn, ready=False) as gateway:
        assert (await gateway.get("/health/live")).status == 200
        assert (await gateway.get("/health/ready")).status == 503
        reply = await gateway.order()
        reply.refused(503, "execution_unavailable")
        assert int(reply.headers["Retry-After"]) >= 1
        with psycopg.connect(postgres, autocommit=True) as connection:
            connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        await until(lambda: is_ready(gateway), 10)
        assert (await gateway.order()).status == 200
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
async def test_a_gateway_that_is_still_starting_leaves_at_once(postgres: str, number: signal.Signals) -> None:
    port = free_port()
    dsn = make_conninfo(postgres, dbname="never_created")
    async with process(POSTGRES_DSN=dsn, PORT=str(port)) as started:
        assert started.stderr is not None
        async with asyncio.timeout(10):
            while b"listening" not in await started.stderr.readline():
                pass
        started.send_signal(number)
        async with asyncio.timeout(5):
            assert await started.wait() == 0


async def test_a_connection_string_that_cannot_be_read_is_not_repeated() -> None:
    text = await refused(POSTGRES_DSN="host=db password TOPSECRET", PORT="0")
    assert "VELOZ_POSTGRES_DSN" in text
    assert "TOPSECRET" not in text


async def test_a_start_without_any_admin_key_is_refused(database: str, engine_binary: Path) -> None:
    text = await refused(POSTGRES_DSN=database, ENGINE=str(engine_binary), PORT="0")
    assert "VELOZ_API_KEY" in text


async def test_a_gateway_that_leaves_asks_its_clients_to_go(make_gateway: MakeGateway) -> None:
    async with make_gateway() as gateway:
        assert "Connection" not in (await gateway.get("/api/market")).headers
        gateway.services.lifecycle.draining = True
        assert (await gateway.get("/api/market")).headers["Connection"] == "close"
