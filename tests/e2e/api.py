"""A client for tests: one request, its whole answer."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Self

import aiohttp
import msgspec

from tests.faults.gateway import Gateway
from tests.faults.ledger import exact


class Reply(msgspec.Struct, frozen=True):
    """What came back; `json` is exact."""

    status: int
    headers: Mapping[str, str]
    text: str

    @property
    def json(self) -> Any:  # noqa: ANN401 - any JSON value
        return exact(self.text)


class Api:
    """Requests to a gateway with its first key, or with another one, or with none."""

    def __init__(self, gateway: Gateway, key: str | None = None) -> None:
        self._url = gateway.url
        self._key = gateway.key if key is None else key
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        headers = {"X-API-Key": self._key} if self._key else {}
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=15), headers=headers)
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session:
            await self._session.close()

    async def ask(self, method: str, path: str, **options: Any) -> Reply:  # noqa: ANN401 - aiohttp's own
        if self._session is None:
            raise RuntimeError("enter the client first")
        async with self._session.request(method, self._url + path, **options) as answer:
            return Reply(answer.status, answer.headers, await answer.text())

    async def get(self, path: str, **query: str) -> Reply:
        return await self.ask("GET", path, params=query)

    async def post(self, path: str, body: object) -> Reply:
        return await self.ask("POST", path, json=body)

    async def order(self, client_order_id: str, **fields: str) -> Reply:
        """A resting limit order far from the market, unless `fields` say otherwise."""
        order = {"side": "BUY", "symbol": "BTCUSDT", "qty": "0.01", "price": "20000", "type": "LIMIT"}
        return await self.post("/api/order", order | {"client_order_id": client_order_id} | fields)
