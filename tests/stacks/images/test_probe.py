"""The probe as containers run it: `python -I -S`, no package, no shell."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from stacks.images.context import ROOT

PROBE = str(ROOT / "stacks" / "images" / "probe.py")


class Answer(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self.send_response({"/health/live": 200, "/health/ready": 503}.get(self.path, 404))
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None:
        """Not into the test's output."""


@pytest.fixture
def port() -> Iterator[int]:
    """A server that lives and is not ready."""
    with ThreadingHTTPServer(("127.0.0.1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server.server_address[1]
        server.shutdown()


def probe(*arguments: str, **environment: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-I", "-S", PROBE, *arguments]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=30, check=False)


def test_200_is_healthy_and_503_is_not(port: int) -> None:
    live, ready = probe("live", str(port)), probe("ready", str(port))
    assert (live.returncode, live.stdout) == (0, "live: status 200\n")
    assert (ready.returncode, ready.stdout) == (1, "ready: status 503\n")


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", ""])  # noqa: S104
def test_it_asks_where_the_gateway_listens(host: str, port: int) -> None:
    assert probe("live", VELOZ_HOST=host, VELOZ_PORT=str(port)).returncode == 0


def test_it_asks_at_ipv6_too() -> None:
    class Server(ThreadingHTTPServer):
        address_family = socket.AF_INET6

    with Server(("::1", 0), Answer) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        port = str(server.server_address[1])
        assert [probe("live", VELOZ_HOST=host, VELOZ_PORT=port).returncode for host in ("::", "::1")] == [0, 0]
        server.shutdown()


def test_nobody_there_is_said_without_a_traceback(free_port: int) -> None:
    done = probe("ready", str(free_port))
    assert (done.returncode, done.stderr) == (1, "")
    assert "Connection refused" in done.stdout


def test_one_that_does_not_answer_is_not_waited_for_longer_than_a_check_may_take() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        started = time.monotonic()
        done = probe("live", str(silent.getsockname()[1]))
    assert done.returncode == 1
    assert time.monotonic() - started < 5


def test_what_is_not_http_is_not_healthy() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            connection, _ = server.accept()
            with connection:
                connection.recv(1000)
                connection.sendall(b"200 OK\r\n\r\n")

        threading.Thread(target=serve, daemon=True).start()
        assert probe("live", str(server.getsockname()[1])).returncode == 1


@pytest.mark.parametrize("arguments", [(), ("healthy",), ("live", "8080", "more"), ("live", "eighty")])
def test_a_wrong_call_is_refused(arguments: tuple[str, ...]) -> None:
    done = probe(*arguments)
    assert (done.returncode, done.stderr) == (2, "usage: probe.py live|ready [PORT]\n")


def test_it_loads_next_to_nothing() -> None:
    command = [sys.executable, "-I", "-S", "-X", "importtime", PROBE, "live", "1"]
    loaded = subprocess.run(command, capture_output=True, text=True, timeout=30, check=False).stderr
    assert "_socket" in loaded
    assert not {"socket", "http", "urllib", "selectors", "enum"} & {
        line.split("|")[-1].strip() for line in loaded.splitlines()
    }
