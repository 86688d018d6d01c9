"""The proxy is tried itself: what it breaks is broken as it says."""

import socket
import socketserver
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import psycopg
import pytest

from tests.faults.cluster import proxied
from tests.faults.gateway import free_port
from tests.faults.proxy import Proxy

SOON = 0.5


class Echo(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        with suppress(ConnectionError):
            while data := self.request.recv(100):
                self.request.sendall(data)


@contextmanager
def echo() -> Iterator[str]:
    with socketserver.ThreadingTCPServer(("127.0.0.1", 0), Echo) as server:
        threading.Thread(target=server.serve_forever, args=(0.05,)).start()
        yield f"127.0.0.1:{server.server_address[1]}"
        server.shutdown()


def test_connections_pass_are_cut_refused_swallowed_and_delayed(tmp_path: Path) -> None:
    port, tap = free_port(), tmp_path / "tap"
    with echo() as upstream, ExitStack() as stack, Proxy(upstream, port, tap) as proxy:

        def connect() -> socket.socket:
            return stack.enter_context(socket.create_connection(("127.0.0.1", port), SOON))

        first = connect()
        assert _said(first, b"one") == b"one"
        assert proxy.set("delay", 0.2) == 1
        started = time.monotonic()
        assert _said(first, b"two") == b"two"
        assert time.monotonic() - started >= 0.4
        proxy.set("cut")
        _is_reset(first)
        second = connect()
        assert _said(second, b"three") == b"three"
        proxy.set("black hole")
        third = connect()
        for one in (second, third):
            with pytest.raises(TimeoutError):
                _said(one, b"four")
        proxy.set("pass")
        _is_reset(second)
        _is_reset(third)
        proxy.set("refuse")
        with pytest.raises(ConnectionRefusedError):
            connect()
        proxy.set("pass")
        assert _said(connect(), b"five") == b"five"
    assert tap.read_bytes() == b"onetwothreefourfourfive"


def _said(connection: socket.socket, data: bytes) -> bytes:
    connection.sendall(data)
    return connection.recv(100)


def _is_reset(connection: socket.socket) -> None:
    with pytest.raises(ConnectionResetError):
        connection.recv(1)


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
