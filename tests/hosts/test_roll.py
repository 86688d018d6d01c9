"""Gateways take a new release one after another, and the old one back when the first is not ready with it."""

from __future__ import annotations

import socket
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path

import pytest

from hosts.on_host.roll import Stuck, roll, switch, wait


@pytest.fixture
def root(tmp_path: Path) -> Path:
    for name in ("old", "new"):
        (tmp_path / "releases" / name).mkdir(parents=True)
    switch("old", tmp_path)
    return tmp_path


def current(root: Path) -> str:
    return (root / "current").readlink().name


def test_the_first_release_becomes_current(tmp_path: Path) -> None:
    assert switch("new", tmp_path) == ""
    assert current(tmp_path) == "new"
    assert switch("new", tmp_path) == "new"


def test_each_is_ready_before_the_next_is_restarted(root: Path) -> None:
    did: list[str] = []

    def ready(url: str) -> str:
        did.append(f"ready {url}")
        return ""

    roll("new", {1: "a", 2: "b"}, lambda n: did.append(f"restart {n}"), ready, root)
    assert did == ["restart 1", "ready a", "restart 2", "ready b"]
    assert current(root) == "new"


def test_a_release_with_which_none_is_ready_is_taken_back(root: Path) -> None:
    restarted: list[tuple[int, str]] = []

    def ready(_: str) -> str:
        return "" if current(root) == "old" else "it answers 503"

    with pytest.raises(
        Stuck, match=r"gateway 1 .* release new: it answers 503. Release old is current again, and it is ready"
    ):
        roll("new", {1: "a", 2: "b"}, lambda n: restarted.append((n, current(root))), ready, root)
    assert restarted == [(1, "new"), (1, "old")]


def test_where_nothing_could_be_taken_back_the_journal_is_named(root: Path) -> None:
    with pytest.raises(Stuck, match="journalctl -u veloz-gateway@1"):
        roll("old", {1: "a"}, lambda _: None, lambda _: "no answer", root)


class _Health(BaseHTTPRequestHandler):
    asked = 0

    def do_GET(self) -> None:
        _Health.asked += 1
        self.send_response(200 if _Health.asked > 2 else 503)
        self.end_headers()
        self.wfile.write(b"failing: engine")

    def log_message(self, *_: object) -> None:
        pass


def test_it_is_waited_for_until_it_answers_200() -> None:
    _Health.asked = 0
    with HTTPServer(("127.0.0.1", 0), _Health) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        url = f"http://127.0.0.1:{server.server_port}/"
        assert wait(url, 0) == "it answers 503: failing: engine"
        assert wait(url, 5) == ""
        server.shutdown()


def test_who_does_not_listen_is_not_ready() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        assert "refused" in wait(f"http://127.0.0.1:{unused.getsockname()[1]}/", 0)
