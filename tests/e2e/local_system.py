"""`python -m app local`, as a person starts and stops it."""

import json
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

ROOT = Path(__file__).resolve().parents[2]


class System(NamedTuple):
    """A running system; `seconds` is what the start took."""

    process: subprocess.Popen[str]
    base: str
    key: str
    seconds: float
    said: str

    @property
    def gateways(self) -> dict[str, str]:
        """Name and address of each, when there are several."""
        return dict(re.findall(r"(gateway-\d+) (http://\S+)", self.said))

    def call(self, path: str, body: dict[str, str] | None = None, base: str | None = None) -> dict[str, Any]:
        """Of the system; of one gateway when `base` is given."""
        request = urllib.request.Request((base or self.base) + path, headers={"X-API-Key": self.key})
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


def command_line(pid: str) -> list[str]:
    try:
        return Path("/proc", pid, "cmdline").read_text().split("\0")
    except FileNotFoundError:  # it ended meanwhile
        return []
