"""sd_notify against a real datagram socket."""

from __future__ import annotations

import asyncio
import os
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from app.service_manager import READY, ServiceManager
from app.settings import ROOT


@pytest.fixture
def heard(tmp_path: Path) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(str(tmp_path / "notify"))
        listening.settimeout(5)
        yield listening


def test_a_message_is_one_datagram(heard: socket.socket) -> None:
    ServiceManager(heard.getsockname()).tell(READY)
    assert heard.recv(99) == b"READY=1"


def test_an_abstract_socket_is_written_with_an_at_sign() -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listening:
        listening.bind(f"\0veloz-test-{os.getpid()}")
        listening.settimeout(5)
        ServiceManager(f"@veloz-test-{os.getpid()}").tell(READY)
        assert listening.recv(99) == b"READY=1"


@pytest.mark.parametrize("path", ["", "/nowhere/notify"])
def test_without_a_manager_nothing_happens(path: str) -> None:
    ServiceManager(path).tell(READY)


@pytest.mark.parametrize(
    ("environ", "patience"),
    [
        ({"WATCHDOG_USEC": "10000000"}, 10.0),
        ({"WATCHDOG_USEC": "10000000", "WATCHDOG_PID": str(os.getpid())}, 10.0),
        ({"WATCHDOG_USEC": "10000000", "WATCHDOG_PID": "1"}, 0.0),
        ({"WATCHDOG_USEC": "soon"}, 0.0),
        ({}, 0.0),
    ],
)
def test_the_watchdog_counts_when_it_watches_this_process(environ: dict[str, str], patience: float) -> None:
    assert ServiceManager.of(environ).patience == patience


async def test_the_watchdog_is_told_while_live_and_no_longer(heard: socket.socket) -> None:
    live = True
    telling = asyncio.create_task(ServiceManager(heard.getsockname(), 0.08).keep_told(lambda: live))
    await asyncio.sleep(0.2)
    live = False
    await asyncio.sleep(0.05)
    heard.setblocking(False)
    told = len(list(_waiting(heard)))
    await asyncio.sleep(0.2)
    assert told >= 4
    assert list(_waiting(heard)) == []
    telling.cancel()


def _waiting(heard: socket.socket) -> Iterator[bytes]:
    while True:
        try:
            yield heard.recv(99)
        except BlockingIOError:
            return


@pytest.fixture
async def gateway(
    heard: socket.socket, database: str, engine_binary: Path
) -> AsyncIterator[asyncio.subprocess.Process]:
    environ = {
        "PATH": os.environ["PATH"],
        "VELOZ_POSTGRES_DSN": database,
        "VELOZ_ENGINE": str(engine_binary),
        "VELOZ_PORT": "0",
        "VELOZ_API_KEY": os.urandom(32).hex(),
        "NOTIFY_SOCKET": heard.getsockname(),
        "WATCHDOG_USEC": "400000",
    }
    process = await asyncio.create_subprocess_exec(sys.executable, "-m", "app", "gateway", env=environ, cwd=ROOT)
    yield process
    if process.returncode is None:
        process.kill()
    await process.wait()


async def test_a_gateway_is_ready_when_it_listens_lives_and_says_that_it_leaves(
    heard: socket.socket, gateway: asyncio.subprocess.Process
) -> None:
    heard.settimeout(20)
    assert await asyncio.to_thread(heard.recv, 99) == b"READY=1"
    assert [await asyncio.to_thread(heard.recv, 99) for _ in range(3)] == [b"WATCHDOG=1"] * 3
    gateway.terminate()
    told = [await asyncio.to_thread(heard.recv, 99)]
    while told[-1] == b"WATCHDOG=1":
        told.append(await asyncio.to_thread(heard.recv, 99))
    assert told[-1] == b"STOPPING=1"
    assert await asyncio.wait_for(gateway.wait(), 20) == 0
