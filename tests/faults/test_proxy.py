"""The proxy is tried itself: what it breaks is broken as it says."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import psycopg
import pytest

from tests.faults.cluster import proxied
from tests.faults.gateway import free_port
from tests.faults.proxy import Proxy

SOON = 0.5


@asynccontextmanager
async def echo() -> AsyncIterator[str]:
    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(ConnectionError):
            while data := await reader.read(100):
                writer.write(data)
        writer.close()

    async with await asyncio.start_server(serve, "127.0.0.1", 0) as server:
        host, port = server.sockets[0].getsockname()
        yield f"{host}:{port}"


async def test_connections_pass_are_cut_refused_swallowed_and_delayed(tmp_path: Path) -> None:
    async with echo() as upstream:
        with Proxy(upstream, free_port(), tmp_path / "tap") as proxy:
            first = await asyncio.open_connection("127.0.0.1", proxy.port)
            assert await _said(*first, b"one") == b"one"
            assert proxy.set("delay", 0.2) == 1
            started = asyncio.get_running_loop().time()
            assert await _said(*first, b"two") == b"two"
            assert asyncio.get_running_loop().time() - started >= 0.4
            proxy.set("cut")
            with pytest.raises(ConnectionResetError):
                await first[0].read(1)
            second = await asyncio.open_connection("127.0.0.1", proxy.port)
            assert await _said(*second, b"three") == b"three"
            proxy.set("black hole")
            third = await asyncio.open_connection("127.0.0.1", proxy.port)
            for one in (second, third):
                with pytest.raises(TimeoutError):
                    await _said(*one, b"four")
            proxy.set("pass")
            for one in (second, third):
                with pytest.raises(ConnectionResetError):
                    await one[0].read(1)
            proxy.set("refuse")
            with pytest.raises(ConnectionRefusedError):
                await asyncio.open_connection("127.0.0.1", proxy.port)
            proxy.set("pass")
            assert await _said(*await asyncio.open_connection("127.0.0.1", proxy.port), b"five") == b"five"
    assert (tmp_path / "tap").read_bytes() == b"onetwothreefourfourfive"


async def _said(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, data: bytes) -> bytes:
    writer.write(data)
    return await asyncio.wait_for(reader.read(100), SOON)


def test_a_database_on_a_unix_socket_is_reached(postgres: str) -> None:
    proxy, dsn = proxied(postgres)
    with proxy:
        with psycopg.connect(dsn) as connection:
            assert connection.execute("SELECT 1").fetchone() == (1,)
            assert proxy.set("cut") == 1
            with pytest.raises(psycopg.OperationalError):
                connection.execute("SELECT 1")
        with psycopg.connect(dsn) as connection:
            assert connection.execute("SELECT 2").fetchone() == (2,)
