"""A Valkey of the test's own, on a port of its own, to be killed and started again empty."""

from __future__ import annotations

import signal
import subprocess
import time
from pathlib import Path

import redis

from app.child import bound_to_us
from app.embedded import valkey_program
from tests.faults.gateway import free_port

START_SECONDS = 10


class Valkey:
    """`start`, then `kill` and `start` as often as wanted, `stop` at the end."""

    def __init__(self, directory: Path) -> None:
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"
        self._directory = directory
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it and wait until it answers. Raises TimeoutError."""
        options = ["--port", str(self.port), "--bind", "127.0.0.1", "--dir", str(self._directory)]
        options += ["--save", "", "--appendonly", "no", "--maxmemory", "64mb"]
        with (self._directory / "valkey.log").open("ab") as output:
            self._process = subprocess.Popen(
                bound_to_us([valkey_program(), *options], signal.SIGKILL), stdout=output, stderr=subprocess.STDOUT
            )
        deadline = time.monotonic() + START_SECONDS
        while not self._answers():
            if time.monotonic() > deadline:
                raise TimeoutError(f"no Valkey on port {self.port} within {START_SECONDS} s")
            time.sleep(0.01)

    def _answers(self) -> bool:
        try:
            with redis.Redis.from_url(self.url, socket_timeout=1) as client:
                return bool(client.ping())
        except redis.RedisError:
            return False

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal; after SIGKILL it is gone when this returns."""
        if self._process is not None:
            self._process.send_signal(number)
            if number == signal.SIGKILL:
                self._process.wait()
                self._process = None

    def stop(self) -> None:
        self.kill(signal.SIGKILL)
