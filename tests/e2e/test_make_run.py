"""`python -m app local`, as a person uses it: start, trade, stop, start again."""

import json
import os
import re
import signal
import subprocess
from pathlib import Path

from app.data_dir import lives
from tests.e2e.local_system import assert_stops, command_line, descendants, system

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
