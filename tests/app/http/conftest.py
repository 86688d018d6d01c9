"""A real gateway on a free port: its own database, a real Valkey, the real engine, the application as it is run."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias
from uuid import uuid4

import aiohttp
import psycopg
import pytest
import pytest_asyncio
from psycopg import sql
from psycopg.conninfo import make_conninfo

from app import settings
from app.application import serve
from app.embedded import EmbeddedServers
from app.keys import Services

SHARED = pytest.mark.asyncio(loop_scope="module")
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


class Event(NamedTuple):
    id: str | None
    type: str
    data: dict[str, Any]


@dataclass
class Events:
    """A reader of text/event-stream; comments and `retry:` are counted, not given."""

    response: aiohttp.ClientResponse
    heartbeats: int = 0
    retries: int = 0

    async def next(self, *skip: str, seconds: float = 5.0) -> Event | None:
        """The next event whose type is not to be skipped; None at the end of the stream."""
        async with asyncio.timeout(seconds):
            while (block := (await self._block())) is not None:
                if "event" in block and block["event"] not in skip:
                    return Event(block.get("id"), block["event"], json.loads(block["data"]))
                self.heartbeats += "" in block
                self.retries += "retry" in block
        return None

    async def _block(self) -> dict[str, str] | None:
        try:
            text = (await self.response.content.readuntil(b"\n\n")).decode()
        except aiohttp.ClientPayloadError:
            return None
        if not text:
            return None
        return dict(line.partition(": ")[::2] for line in text.strip("\n").split("\n"))

    async def take(self, count: int, *skip: str) -> list[Event]:
        """So many events of other types than those to be skipped."""
        taken = [await self.next(*skip) for _ in range(count)]
        return [event for event in taken if event is not None]


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
        return await self.call("POST", path, **(how if body is None else {"json": body, **how}))

    async def order(self, **changes: object) -> Reply:
        order: dict[str, object] = {"side": "BUY", "symbol": "BTCUSDT", "qty": "0.5", "price": "30000"}
        order |= {"client_order_id": "a", **changes}
        return await self.post("/api/order", {name: value for name, value in order.items() if value is not None})

    @asynccontextmanager
    async def stream(self, path: str = "/api/stream", **headers: str) -> AsyncIterator[Events]:
        named = {"X-API-Key": self.key} | {name.replace("_", "-"): value for name, value in headers.items()}
        async with self.client.get(self.base + path, headers=named) as response:
            yield Events(response)

    async def make_key(self, role: str, account: str = "main") -> str:
        made = await self.post("/api/auth/keys", {"role": role, "account": account})
        assert made.status == 201, made.text
        return str(made.json["api_key"])

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with psycopg.connect(self.database) as connection:
            return connection.execute(query.encode()).fetchall()


MakeGateway: TypeAlias = Callable[..., AbstractAsyncContextManager[Gateway]]


@asynccontextmanager
async def running(
    database: str, redis_url: str, engine: Path, *, ready: bool = True, **more: str
) -> AsyncIterator[Gateway]:
    """A gateway with more variables; `ready=False` does not wait for it."""
    environ = {
        "POSTGRES_DSN": database,
        "REDIS_URL": redis_url,
        "API_KEY": KEY,
        "PORT": "0",
        "ENGINE": str(engine),
        "MARKET_SYMBOL": "BTCUSDT,ETHUSDT",
    } | more
    loaded = settings.load({f"VELOZ_{name}": value for name, value in environ.items()})
    stop = asyncio.Event()
    listening = asyncio.get_running_loop().create_future()
    served = asyncio.create_task(serve(loaded, stop, lambda services, port: listening.set_result((services, port))))
    await asyncio.wait([served, listening], return_when=asyncio.FIRST_COMPLETED)
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


@pytest.fixture
def make_gateway(database: str, redis_url: str, engine_binary: Path) -> MakeGateway:
    """Start gateways of one database and one Valkey."""
    return partial(running, database, redis_url, engine_binary)


@pytest.fixture
async def gateway(make_gateway: MakeGateway) -> AsyncIterator[Gateway]:
    """One of its own, for a test that changes or breaks it."""
    async with make_gateway() as made:
        yield made


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared(postgres: str, embedded: EmbeddedServers, engine_binary: Path) -> AsyncIterator[Gateway]:
    """One for a whole module; its tests have `pytestmark = SHARED` and use ids of their own."""
    with new_database(postgres) as database:
        async with running(database, embedded.redis_url, engine_binary, RATE_LIMIT_LOGIN="0") as made:
            yield made


@contextmanager
def new_database(postgres: str) -> Iterator[str]:
    name = sql.Identifier(f"test_{uuid4().hex}")
    with psycopg.connect(postgres, autocommit=True) as connection:
        connection.execute(sql.SQL("CREATE DATABASE {}").format(name))
        yield make_conninfo(postgres, dbname=name._obj[0])
        connection.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(name))


async def is_ready(gateway: Gateway) -> bool:
    return (await gateway.get("/health/ready")).status == 200


async def until(condition: Callable[[], Awaitable[bool]], seconds: float) -> None:
    """Wait for something outside this process; TimeoutError when it does not come about."""
    async with asyncio.timeout(seconds):
        met = await condition()
        while not met:
            await asyncio.sleep(0.02)
            met = await condition()
