import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from app.engine import Batch, Engine, EngineLost
from app.exchange_config import StartRefused


@pytest.fixture
async def engine(engine_binary: Path) -> AsyncIterator[Engine]:
    one = await Engine.start(engine_binary, 5)
    yield one
    await one.stop()


def script(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


async def test_a_request_gets_all_its_events_and_requests_complete_in_order(engine: Engine) -> None:
    order: list[tuple[int, list[str]]] = []
    for number in range(3):
        lines = [f"ACCOUNT a{number} ts=1", f"DEPOSIT USDT 5 acct=a{number} ts=1"]
        engine.send(lines, lambda batch, n=number: order.append((n, [e.type for e in batch.events])))  # type: ignore[misc]
    await engine.ask(["PING ts=1"], 5)
    assert order == [(number, ["transfer", "account"]) for number in range(3)]


async def test_an_error_is_read_as_code_and_message(engine: Engine) -> None:
    batch = await engine.ask(["HASH nobody ts=1"], 5)
    error = batch.error()
    assert error is not None
    assert error[0] == "UNKNOWN_ACCOUNT"
    assert Batch([]).error() is None


@pytest.mark.parametrize("line", ["PING\nQUIT", "PING \x00", "PING é", "PING\r"])
async def test_a_line_that_is_not_one_line_never_reaches_the_engine(engine: Engine, line: str) -> None:
    with pytest.raises(ValueError, match="not one line of printable ASCII"):
        engine.send([line], lambda _: None)
    await engine.ask(["PING ts=1"], 5)


async def test_a_dead_engine_says_how_it_died(engine: Engine) -> None:
    os.kill(engine.pid, signal.SIGABRT)
    assert await asyncio.wait_for(asyncio.shield(engine.lost), 5) == "ended with signal 6"
    with pytest.raises(EngineLost, match="signal 6"):
        await engine.ask(["PING ts=1"], 5)


async def test_a_hung_engine_is_killed_by_the_watch(engine: Engine) -> None:
    beats: list[Batch] = []
    watching = asyncio.create_task(engine.watch(lambda: "PING ts=1", beats.append, 0.02, 0.3))
    await asyncio.sleep(0.2)
    assert len(beats) > 2
    os.kill(engine.pid, signal.SIGSTOP)
    start = time.monotonic()
    assert await asyncio.wait_for(watching, 5) == "no heartbeat for 0.3 s"
    assert time.monotonic() - start < 1
    await engine.stop()


async def test_an_engine_of_another_protocol_is_refused(tmp_path: Path) -> None:
    path = script(tmp_path / "engine", """echo '{"type":"ready","version":"9","protocol":2}'; exec cat""")
    with pytest.raises(StartRefused, match="speaks protocol 2, this gateway 1"):
        await Engine.start(path, 5)


@pytest.mark.parametrize(
    ("text", "why"),
    [("exit 3", "ended with status 3"), ("exec sleep 9", "no answer"), ("echo nonsense; exec cat", "unreadable")],
)
async def test_an_engine_without_greeting_is_lost(tmp_path: Path, text: str, why: str) -> None:
    with pytest.raises(EngineLost, match=why):
        await Engine.start(script(tmp_path / "engine", text), 0.5)


async def test_what_the_engine_says_on_stderr_is_logged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    path = script(
        tmp_path / "engine", """echo 'oh dear' >&2; echo '{"type":"ready","version":"9","protocol":1}'; exec cat"""
    )
    engine = await Engine.start(path, 5)
    await asyncio.sleep(0.05)
    await engine.stop()
    assert "engine: oh dear" in caplog.text


def test_the_engine_dies_with_its_gateway(engine_binary: Path) -> None:
    program = (
        "import asyncio, sys; from pathlib import Path; from app.engine import Engine\n"
        "async def main():\n"
        "    engine = await Engine.start(Path(sys.argv[1]), 5)\n"
        "    print(engine.pid, flush=True)\n"
        "    await asyncio.sleep(60)\n"
        "asyncio.run(main())"
    )
    gateway = subprocess.Popen([sys.executable, "-c", program, str(engine_binary)], stdout=subprocess.PIPE, text=True)
    assert gateway.stdout is not None
    pid = int(gateway.stdout.readline())
    os.kill(pid, signal.SIGSTOP)  # so that it cannot notice the end of its input
    gateway.kill()
    gateway.wait()
    gateway.stdout.close()
    deadline = time.monotonic() + 5
    while time.monotonic() < deadline and Path(f"/proc/{pid}/stat").exists():
        if Path(f"/proc/{pid}/stat").read_text().split()[2] == "Z":
            break
        time.sleep(0.01)
    else:
        assert not Path(f"/proc/{pid}").exists()


async def test_an_engine_runs_on_the_cpus_that_were_named(engine_binary: Path) -> None:
    cpu = max(os.sched_getaffinity(0))
    engine = await Engine.start(engine_binary, 5, str(cpu))
    try:
        said = await asyncio.to_thread(subprocess.check_output, ["taskset", "-cp", str(engine.pid)], text=True)
    finally:
        await engine.stop()
    assert said.endswith(f"affinity list: {cpu}\n")


async def test_cpus_that_are_not_there_are_the_engines_end(engine_binary: Path) -> None:
    with pytest.raises(EngineLost, match="status 1"):
        await Engine.start(engine_binary, 5, "4000")
