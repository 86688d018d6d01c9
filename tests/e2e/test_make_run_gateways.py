"""`python -m app local --gateways 3`: several gateways behind a real balancer are one system."""

import os
import re
import signal
import time
import urllib.error
from collections.abc import Callable
from pathlib import Path

import pytest

from app.data_dir import lives
from tests.e2e.local_system import System, assert_stops, command_line, descendants, system

ORDER = {"side": "BUY", "symbol": "BTCUSDT", "qty": "0.01", "price": "30000"}


def order(running: System, client_order_id: str, base: str | None = None, seconds: float = 10) -> None:
    """As a client should: one that is not taken or unknown is asked for again under the same id."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            assert running.call("/api/order", ORDER | {"client_order_id": client_order_id}, base)["ok"] is True
            return
        except urllib.error.HTTPError as error:
            error.close()
            if error.code not in {503, 504} or time.monotonic() > deadline:
                raise
            time.sleep(0.1)


def refused(running: System, path: str) -> int:
    with pytest.raises(urllib.error.HTTPError) as error:
        running.call(path)
    error.value.close()
    return error.value.code


def live(running: System) -> set[str]:
    """The gateways that count as live, as one of them sees it."""
    return {gateway["owner"] for gateway in running.call("/api/cluster")["gateways"] if gateway["live"]}


def gateways(running: System) -> set[str]:
    """Their pids."""
    return {pid for pid in descendants(running.process.pid) if "gateway" in command_line(pid)}


def until(condition: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.1)


@pytest.mark.parametrize("balancer", ["nginx", "haproxy"])
def test_three_gateways_are_one_system_behind_the_balancer(
    engine_binary: Path, data_dir: Path, free_port: int, balancer: str
) -> None:
    assert engine_binary.exists()
    with system(data_dir, free_port, "--gateways", "3", "--balancer", balancer) as running:
        assert f"balancer {balancer} " in running.said
        assert set(running.gateways) == live(running) == {"gateway-1", "gateway-2", "gateway-3"}
        order(running, "through-the-balancer")
        for name, base in running.gateways.items():
            order(running, name, base)
        states = [
            [running.call(f"/api/order_state?client_order_id={name}", base=base) for name in running.gateways]
            for base in (None, *running.gateways.values())
        ]
        assert all(state == states[0] for state in states)
        assert [refused(running, path) for path in ("/metrics", "/internal/command")] == [404, 404]
        below = descendants(running.process.pid)
        assert_stops(running, signal.SIGINT)
    assert [pid for pid in below if lives(pid)] == []
    with system(data_dir, free_port) as alone:
        assert alone.call("/api/order_state?client_order_id=gateway-3") == states[0][2]


def test_a_gateway_that_dies_is_started_again_while_the_others_serve(
    engine_binary: Path, data_dir: Path, free_port: int
) -> None:
    assert engine_binary.exists()
    with system(data_dir, free_port, "--gateways", "3") as running:
        names = set(running.gateways)
        before = gateways(running)
        assert len(before) == 3
        os.kill(int(min(before)), signal.SIGKILL)
        order(running, "meanwhile")
        until(lambda: len(gateways(running) - before) == 1 and live(running) == names, 30)
        order(running, "afterwards")
        assert_stops(running, signal.SIGTERM)
        assert running.process.stdout is not None
        said = running.process.stdout.read()
        assert re.search(r"The gateway gateway-\d ended with status -9 and was started again", said)


def test_a_balancer_that_dies_ends_the_system_and_is_named(engine_binary: Path, data_dir: Path, free_port: int) -> None:
    assert engine_binary.exists()
    with system(data_dir, free_port, "--gateways", "2") as running:
        balancer = next(pid for pid in descendants(running.process.pid) if "nginx.conf" in " ".join(command_line(pid)))
        below = descendants(running.process.pid)
        os.kill(int(balancer), signal.SIGKILL)
        assert running.process.wait(timeout=40) == 1
        assert running.process.stdout is not None
        assert "The balancer ended by itself with status -9" in running.process.stdout.read()
        assert [pid for pid in below if lives(pid)] == []
