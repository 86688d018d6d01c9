"""`python -m app local`, as a person uses it: start, trade, stop, start again."""

import json
import os
import re
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

from app.data_dir import lives

ROOT = Path(__file__).resolve().parents[2]


class System(NamedTuple):
    """A running system; `seconds` is what the start took."""

    process: subprocess.Popen[str]
    base: str
    key: str
    seconds: float
    said: str

    def call(self, path: str, body: dict[str, str] | None = None) -> dict[str, Any]:
        request = urllib.request.Request(self.base + path, headers={"X-API-Key": self.key})
        if body is not None:
            request.data = json.dumps(body).encode()
            request.add_header("Content-Type", "application/json")
        with urllib.request.urlopen(request, timeout=10) as answer:
            result: dict[str, Any] = json.load(answer)
            return result


@contextmanager
def system(data_dir: Path, port: int, *arguments: str) -> Iterator[System]:
    command = [sys.executable, "-m", "app", "local", "--data-dir", str(data_dir), "--port", str(port), *arguments]
    started = time.monotonic()
    with subprocess.Popen(
        command, cwd=ROOT, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        assert process.stdout is not None
        try:
            lines = []
            for line in process.stdout:
                lines.append(line)
                if line.startswith("Ctrl-C"):
                    break
            said = "".join(lines)
            assert process.poll() is None, said
            key = (data_dir / "api_key").read_text().strip()
            yield System(process, f"http://127.0.0.1:{port}", key, time.monotonic() - started, said)
        finally:
            process.terminate()
            process.wait(timeout=40)


def descendants(pid: int) -> set[str]:
    """Every process under one, by the kernel's word."""
    found: set[str] = set()
    ahead = [str(pid)]
    while ahead:
        for task in Path("/proc", ahead.pop(), "task").iterdir():
            children = (task / "children").read_text().split()
            found.update(children)
            ahead += children
    return found


def assert_stops(running: System, number: signal.Signals) -> None:
    running.process.send_signal(number)
    assert running.process.wait(timeout=20) == 0


ORDER = {"side": "BUY", "symbol": "BTCUSDT", "qty": "0.01", "price": "30000", "client_order_id": "first"}


def test_a_stopped_system_starts_again_in_five_seconds_with_all_its_state(
    engine_binary: Path, data_dir: Path, free_port: int
) -> None:
    assert engine_binary.exists()
    with system(data_dir, free_port) as first:
        key = first.key
        assert first.call("/api/order", ORDER)["ok"] is True
        before = first.call("/api/order_state?client_order_id=first")
        below = descendants(first.process.pid)
        assert_stops(first, signal.SIGINT)
    assert [pid for pid in below if lives(pid)] == []
    for number in (signal.SIGTERM, signal.SIGHUP):
        with system(data_dir, free_port) as again:
            assert again.key == key
            assert again.call("/api/order_state?client_order_id=first") == before
            assert again.seconds <= 5
            assert_stops(again, number)


def test_nothing_survives_a_killed_system_and_no_order_is_lost(
    engine_binary: Path, data_dir: Path, free_port: int
) -> None:
    assert engine_binary.exists()
    with system(data_dir, free_port) as first:
        first.call("/api/order", ORDER)
        before = first.call("/api/order_state?client_order_id=first")
        below = descendants(first.process.pid)
        assert len(below) >= 4  # PostgreSQL, Valkey, gateway, engine
        first.process.kill()
    with system(data_dir, free_port) as second:
        assert second.call("/api/order_state?client_order_id=first") == before
        assert [pid for pid in below if lives(pid)] == []


def test_the_lines_it_prints_to_try_work_as_they_are(engine_binary: Path, data_dir: Path, free_port: int) -> None:
    assert engine_binary.exists()
    with system(data_dir, free_port) as running:
        assert "\x1b" not in running.said
        health, order, stream = re.findall(r"^  (curl .*)$", running.said, re.MULTILINE)
        said = [
            subprocess.run(["bash", "-c", line], capture_output=True, text=True, timeout=10, check=True).stdout
            for line in (health, order)
        ]
        assert [json.loads(text)["ok"] for text in said] == [True, True]
        follow = ["timeout", "5", "bash", "-c", stream + " --silent | grep --max-count=1 ^event:"]
        assert subprocess.run(follow, capture_output=True, text=True, check=False).stdout.startswith("event:")


def test_a_gateway_that_dies_ends_the_system_and_is_named(engine_binary: Path, data_dir: Path, free_port: int) -> None:
    assert engine_binary.exists()
    with system(data_dir, free_port) as running:
        gateway = next(pid for pid in descendants(running.process.pid) if "gateway" in command_line(pid))
        os.kill(int(gateway), signal.SIGKILL)
        assert running.process.wait(timeout=40) == 1
        assert running.process.stdout is not None
        assert "The gateway ended by itself with status -9" in running.process.stdout.read()


def command_line(pid: str) -> list[str]:
    return Path("/proc", pid, "cmdline").read_text().split("\0")
