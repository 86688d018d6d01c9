"""`python -m app local` as the image of a single node starts it: an engine that is there, a key from a file, one output."""

import json
import os
import secrets
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pytest

ROOT = Path(__file__).resolve().parents[2]


class Started(NamedTuple):
    process: subprocess.Popen[bytes]
    base: str
    key: str
    output: Path
    data: Path


@pytest.fixture
def started(engine_binary: Path, data_dir: Path, tmp_path: Path, free_port: int) -> Iterator[Started]:
    """On an address that is not the usual one, to see that it is taken."""
    key = secrets.token_hex(32)
    key_file = tmp_path / "given_key"
    key_file.write_text(key)
    key_file.chmod(0o440)
    output = tmp_path / "output"
    command = [sys.executable, "-m", "app", "local", "--host", "127.0.0.2", "--port", str(free_port)]
    command += ["--data-dir", str(data_dir), "--logs", "output"]
    environ = os.environ | {"VELOZ_ENGINE": str(engine_binary), "VELOZ_API_KEY_FILE": str(key_file)}
    with (
        output.open("wb") as file,
        subprocess.Popen(command, cwd=ROOT, env=environ, stdout=file, stderr=file) as process,
    ):
        try:
            deadline = time.monotonic() + 60
            while "Ctrl-C" not in output.read_text():
                assert process.poll() is None, output.read_text()
                assert time.monotonic() < deadline, output.read_text()
                time.sleep(0.05)
            yield Started(process, f"http://127.0.0.2:{free_port}", key, output, data_dir)
        finally:
            process.terminate()
            process.wait(timeout=40)


def test_it_trades_with_the_given_key_and_logs_to_its_output_alone(started: Started) -> None:
    body = json.dumps({"side": "BUY", "symbol": "BTCUSDT", "qty": "0.01", "price": "30000"}).encode()
    headers = {"X-API-Key": started.key, "Content-Type": "application/json"}
    with urllib.request.urlopen(
        urllib.request.Request(f"{started.base}/api/order", body, headers), timeout=10
    ) as answer:
        assert json.load(answer)["ok"]
    started.process.send_signal(signal.SIGTERM)
    assert started.process.wait(timeout=30) == 0
    said = started.output.read_text()
    assert "building the engine" not in said
    assert started.base in said
    assert "database system is ready to accept connections" in said
    assert '"message":"listening","host":"127.0.0.2"' in said
    assert started.key not in said
    assert not (started.data / "api_key").exists()
    assert not (started.data / "gateway.log").exists()
