"""A client of a deployment's edge, who believes and waits as every client should."""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import time
from collections.abc import AsyncIterator
from http import HTTPStatus
from typing import Any, Final, NamedTuple, Self
from urllib.parse import urlsplit

import aiohttp
import msgspec

SECONDS: Final = 10  # for one answer
BUSY_SECONDS: Final = 90  # for a request that the key's rate limit refuses: a window, by default 60 s, and some


class Edge(NamedTuple):
    """`address` and `port`: where to connect; `url`: what the certificate is for; `authority`: who must have signed it, PEM."""

    url: str
    address: str
    port: int
    authority: str = ""

    @property
    def base(self) -> str:
        place = f"[{self.address}]" if ":" in self.address else self.address
        return f"{urlsplit(self.url).scheme}://{place}:{self.port}"

    @property
    def hostname(self) -> str:
        return urlsplit(self.url).hostname or self.address

    @property
    def host_header(self) -> str:
        return urlsplit(self.url).netloc


class Client:
    """Requests to the edge under its own name, whatever DNS says; TLS is verified as every client's is."""

    def __init__(self, edge: Edge, key: str) -> None:
        self._edge = edge
        self._headers = {"X-API-Key": key, "Host": edge.host_header}
        self._tls: dict[str, Any] = {}
        if edge.url.startswith("https:"):
            context = ssl.create_default_context(cadata=edge.authority or None)
            self._tls = {"ssl": context, "server_hostname": edge.hostname}
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        self._session = aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=SECONDS))
        return self

    async def __aexit__(self, *_: object) -> None:
        if self._session:
            await self._session.close()

    @contextlib.asynccontextmanager
    async def request(self, method: str, path: str, **options: Any) -> AsyncIterator[aiohttp.ClientResponse]:  # noqa: ANN401 - aiohttp's own
        """The answer; a key that trades meanwhile is at its rate limit at times, and nothing was done of what was refused so."""
        if self._session is None:
            raise RuntimeError("enter the client first")
        headers = self._headers if path.startswith("/api/") else {"Host": self._edge.host_header}
        patience = time.monotonic() + BUSY_SECONDS
        while True:
            async with self._session.request(
                method, self._edge.base + path, headers=headers, allow_redirects=False, **self._tls, **options
            ) as answer:
                seconds = _to_wait(answer)
                if not seconds or time.monotonic() + seconds > patience:
                    yield answer
                    return
            await asyncio.sleep(seconds)

    async def json(self, method: str, path: str, **options: Any) -> tuple[int, Any]:  # noqa: ANN401 - any JSON value
        async with self.request(method, path, **options) as answer:
            text = await answer.text()
            try:
                return answer.status, msgspec.json.decode(text)
            except msgspec.DecodeError:
                return answer.status, text.strip()[:200]


def _to_wait(answer: aiohttp.ClientResponse) -> int:
    """Seconds, where it says that it is to be asked again; else 0."""
    said = answer.headers.get("Retry-After", "")
    return int(said) if answer.status == HTTPStatus.TOO_MANY_REQUESTS and said.isdecimal() else 0
