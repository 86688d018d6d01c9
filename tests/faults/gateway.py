"""A real gateway process under test: start it, find its engine, kill it, start it again on the same port."""

from __future__ import annotations

import asyncio
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import asynccontextmanager, contextmanager, suppress
from pathlib import Path

import aiohttp

ROOT = Path(__file__).resolve().parents[2]
POLL_SECONDS = 0.01
STOP_SECONDS = 25
SERVER_PORTS = (20_000, 32_000)  # net.ipv4.ip_local_port_range begins at 32768


class NotReadyError(Exception):
    """The gateway did not become ready in time; the message ends with its health and the last lines of its log."""


class Gateway:
    """`python -m app gateway` as a child process, with an environment of its own and its output in one log."""

    def __init__(self, directory: Path, environ: Mapping[str, str], *, port: int | None = None) -> None:
        self.key = environ.get("VELOZ_API_KEY", "")
        self.port = port or free_port()
        self.url = f"http://127.0.0.1:{self.port}"
        self.log = directory / "gateway.log"
        self.starts = 0
        self.owner = environ.get("VELOZ_GATEWAY_ID", "gateway-under-test")
        self._environ = {
            "PATH": os.environ.get("PATH", os.defpath),
            "LC_ALL": "C.UTF-8",
            "VELOZ_PORT": str(self.port),
            "VELOZ_GATEWAY_ID": self.owner,
            **environ,
        }
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def headers(self) -> dict[str, str]:
        return {"X-API-Key": self.key}

    @property
    def pid(self) -> int:
        if self._process is None:
            raise NotReadyError("the gateway was not started")
        return self._process.pid

    @property
    def alive(self) -> bool:
        return self._process is not None and self._process.poll() is None

    def start(self) -> None:
        """Start the process; do not wait for it."""
        self.starts += 1
        with self.log.open("ab") as output:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "app", "gateway"],
                cwd=ROOT,
                env=self._environ,
                stdin=subprocess.DEVNULL,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    async def ready(self, seconds: float = 20) -> float:
        """Wait until it can trade; returns how long that took. Raises NotReadyError."""
        started = time.monotonic()
        health = "no answer"
        async with aiohttp.ClientSession() as session:
            while time.monotonic() - started < seconds and self.alive:
                status, health = await self._ask(session, "/health/ready")
                if status == 200:
                    return time.monotonic() - started
                await asyncio.sleep(POLL_SECONDS)
        raise NotReadyError(f"not ready after {time.monotonic() - started:.1f} s: {health}\n{self.last_words()}")

    async def health(self) -> tuple[int, str]:
        """Status and text of /health/ready; 0 when nothing listens."""
        async with aiohttp.ClientSession() as session:
            return await self._ask(session, "/health/ready")

    async def _ask(self, session: aiohttp.ClientSession, path: str) -> tuple[int, str]:
        try:
            async with session.get(self.url + path, timeout=aiohttp.ClientTimeout(total=2)) as answer:
                return answer.status, await answer.text()
        except (aiohttp.ClientError, TimeoutError) as error:
            return 0, repr(error)

    def last_words(self) -> str:
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-15:])

    def kill(self, number: signal.Signals = signal.SIGKILL) -> None:
        """Send a signal; after SIGKILL the process is gone when this returns."""
        if self._process is None:
            return
        self._process.send_signal(number)
        if number == signal.SIGKILL:
            self._process.wait()

    def children(self) -> list[int]:
        """Pids of the gateway's child processes."""
        found: list[int] = []
        for children in Path(f"/proc/{self.pid}/task").glob("*/children"):
            try:
                found += map(int, children.read_text().split())
            except FileNotFoundError:  # the thread ended meanwhile
                continue
        return found

    def engine(self) -> int | None:
        """The pid of the engine that runs now."""
        return next((pid for pid in self.children() if _name(pid) == "veloz_engine"), None)

    async def stop(self) -> int:
        """SIGTERM; returns the exit status. One that does not end is killed and gives -9."""
        if self._process is None:
            return 0
        engines = self.children() if self.alive else []
        if self.alive:
            self._process.terminate()
        try:
            status = await asyncio.to_thread(self._process.wait, STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self._process.kill()
            status = self._process.wait()
        _end_engines(engines)
        return status

    def end(self) -> None:
        """SIGKILL, the engine too."""
        engines = self.children() if self.alive else []
        self.kill()
        _end_engines(engines)


def _end_engines(pids: list[int]) -> None:
    for pid in pids:
        if _name(pid) == "veloz_engine":  # a stopped one does not see that its input ended
            os.kill(pid, signal.SIGKILL)


def _name(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text().strip()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def free_port() -> int:
    """A port of loopback that nothing has, from below those the kernel gives to clients: a gateway that is away keeps it."""
    while True:
        with socket.socket() as probe, suppress(OSError):
            port = secrets.choice(range(*SERVER_PORTS))
            probe.bind(("127.0.0.1", port))
            return port


def environment(database: str, redis_url: str, engine: Path, **changes: str) -> dict[str, str]:
    """What a gateway under load needs: no rate limits, deep pockets, a market that moves."""
    return {
        "VELOZ_POSTGRES_DSN": database,
        "VELOZ_REDIS_URL": redis_url,
        "VELOZ_ENGINE": str(engine),
        "VELOZ_API_KEY": secrets.token_hex(32),
        "VELOZ_MARKET_SOURCE": "sim",
        "VELOZ_SIM_RATE": "20",
        "VELOZ_PAPER_BALANCES": "USDT=10000000000,BTC=100000",
        "VELOZ_RATE_LIMIT_KEY": "0",
        "VELOZ_RATE_LIMIT_ADDRESS": "0",
        "VELOZ_RATE_LIMIT_LOGIN": "0",
        "VELOZ_LOG_LEVEL": "WARNING",
        **changes,
    }


@contextmanager
def serving(directory: Path, environ: Mapping[str, str]) -> Iterator[Gateway]:
    """A gateway ready to trade, for a fixture that outlives a test's event loop."""
    gateway = Gateway(directory, environ)
    gateway.start()
    try:
        asyncio.run(gateway.ready())
        yield gateway
    finally:
        asyncio.run(gateway.stop())


@asynccontextmanager
async def running(directory: Path, environ: Mapping[str, str], *, wait: bool = True) -> AsyncIterator[Gateway]:
    """A gateway from start to stop."""
    gateway = Gateway(directory, environ)
    gateway.start()
    try:
        if wait:
            await gateway.ready()
        yield gateway
    finally:
        await gateway.stop()
