"""A real gateway on a free port: its own database, a real Valkey, the real engine, the application as it is run."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeAlias

import aiohttp
import psycopg
import pytest

from app import settings
from app.application import serve
from app.keys import Services

KEY = "5f3ac1e77b0d4e92a6c8f0b1d2e3947586a7b8c9d0e1f2031425364758697a8b"


@dataclass
class Reply:
    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def json(self) -> Any:  # noqa: ANN401 - what a server says
        return json.loads(self.text)

    def refused(self, status: int, code: str) -> dict[str, Any]:
        """The envelope of a refusal, checked."""
        body: dict[str, Any] = self.json
        assert (self.status, body["error"]) == (status, code), self.text
        assert body["ok"] is False
        assert body["message"]
        assert body["request_id"] == self.headers["X-Request-ID"]
        assert self.headers["Content-Type"] == "application/json"
        return body


@dataclass
class Gateway:
    """A client of one gateway; `key` is sent unless a call names its own headers."""

    services: Services
    port: int
    client: aiohttp.ClientSession
    database: str
    key: str = KEY

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def call(self, method: str, path: str, *, headers: Mapping[str, str] | None = None, **how: Any) -> Reply:  # noqa: ANN401
        headers = {"X-API-Key": self.key} if headers is None else headers
        async with self.client.request(method, self.base + path, headers=headers, **how) as response:
            return Reply(response.status, response.headers.copy(), await response.text())

    async def get(self, path: str, **how: Any) -> Reply:  # noqa: ANN401
        return await self.call("GET", path, **how)

    async def post(self, path: str, body: object = None, **how: Any) -> Reply:  # noqa: ANN401
        return await self.call("POST", path, **({"json": body} if body is not None else {}), **how)

    async def order(self, **changes: object) -> Reply:
        order = {"side": "BUY", "symbol": "BTCUSDT", "qty": "0.5", "price": "30000", "client_order_id": "a"} | changes
        return await self.post("/api/order", {name: value for name, value in order.items() if value is not None})

    async def make_key(self, role: str, account: str = "main") -> str:
        made = await self.post("/api/auth/keys", {"role": role, "account": account})
        assert made.status == 201, made.text
        return str(made.json["api_key"])

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.database) as connection:
            return connection.execute(query.encode()).fetchall()


MakeGateway: TypeAlias = Callable[..., Any]


@pytest.fixture
def make_gateway(database: str, redis_url: str, engine_binary: Path) -> MakeGateway:
    """Start a gateway with more variables; `ready=False` does not wait for it."""

    @asynccontextmanager
    async def start(*, ready: bool = True, **more: str) -> AsyncIterator[Gateway]:
        environ = {
            "POSTGRES_DSN": database,
            "REDIS_URL": redis_url,
            "API_KEY": KEY,
            "PORT": "0",
            "ENGINE": str(engine_binary),
            "MARKET_SYMBOL": "BTCUSDT,ETHUSDT",
        } | more
        loaded = settings.load({f"VELOZ_{name}": value for name, value in environ.items()})
        stop: asyncio.Event = asyncio.Event()
        listening: asyncio.Future[tuple[Services, int]] = asyncio.get_running_loop().create_future()
        served = asyncio.create_task(serve(loaded, stop, lambda services, port: listening.set_result((services, port))))
        await asyncio.wait({served, listening}, return_when=asyncio.FIRST_COMPLETED)
        if served.done():
            served.result()
        services, port = listening.result()
        try:
            async with aiohttp.ClientSession() as client:
                gateway = Gateway(services, port, client, database)
                if ready:
                    await until(lambda: is_ready(gateway), 20)
                yield gateway
        finally:
            stop.set()
            await served

    return start


@pytest.fixture
async def gateway(make_gateway: MakeGateway) -> AsyncIterator[Gateway]:
    async with make_gateway() as made:
        yield made


async def is_ready(gateway: Gateway) -> bool:
    return (await gateway.get("/health/ready")).status == 200


async def until(condition: Callable[[], Awaitable[bool]], seconds: float) -> None:
    """Wait for something outside this process; TimeoutError when it does not come about."""
    async with asyncio.timeout(seconds):
        met = await condition()
        while not met:
            await asyncio.sleep(0.02)
            met = await condition()
