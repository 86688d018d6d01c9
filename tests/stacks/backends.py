"""Small servers in the place of gateways that count what reaches them, and a real balancer before them.

`python backends.py PORT` is one as a process of its own, which a test can stop.
"""

from __future__ import annotations

import asyncio
import re
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from aiohttp import web

if TYPE_CHECKING:  # the process of its own needs none of it
    from stacks.balancer import Balancer
    from stacks.programs import Program


class Backend:
    """What reached it: `seen` in order, `connections` that carried anything but health checks."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.port = 0
        self.seen: list[tuple[str, str]] = []
        self.connections: set[asyncio.BaseTransport] = set()
        self.events: asyncio.Queue[bytes] = asyncio.Queue()
        self.status = 200
        self.leaving = False  # ends what it is asked unanswered
        self.hangs = False

    async def answer(self, request: web.Request) -> web.StreamResponse:
        if request.path == "/health/ready":
            return web.json_response({"ok": True})
        if request.path == "/seen":
            return web.json_response(self.seen)
        self.seen.append((request.method, request.path))
        if request.transport is not None:
            self.connections.add(request.transport)
        if self.hangs:
            await asyncio.sleep(60)
        if request.path == "/die" or self.leaving:
            await request.read()
            if request.transport is not None:
                request.transport.abort()
        if request.path == "/api/stream":
            return await self._stream(request)
        return web.json_response({"name": self.name, **await _facts(request)}, status=self.status)

    async def _stream(self, request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
        await response.prepare(request)
        while event := await self.events.get():
            await response.write(event)
        await response.write_eof()
        return response


# What a client may say of itself, or ask of the gateway, and no gateway should hear.
_STRANGERS = ("Forwarded", "X-Real-IP", "Upgrade", "Transfer-Encoding")


async def _facts(request: web.Request) -> dict[str, Any]:
    return {
        "forwarded_for": request.headers.getall("X-Forwarded-For", []),
        "others": [name for name in _STRANGERS if name in request.headers],
        "scheme": request.headers.getall("X-Forwarded-Proto", []),
        "body": len(await request.read()),
    }


@asynccontextmanager
async def backend(name: str, port: int = 0, host: str = "127.0.0.1") -> AsyncIterator[Backend]:
    made = Backend(name)
    app = web.Application(client_max_size=2**20)
    app.router.add_route("*", "/{path:.*}", made.answer)
    runner = web.AppRunner(app, keepalive_timeout=75, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, host, port).start()
        made.port = runner.addresses[0][1]
        yield made
    finally:
        await runner.cleanup()


@asynccontextmanager
async def backends(count: int) -> AsyncIterator[list[Backend]]:
    async with AsyncExitStack() as stack:
        yield [await stack.enter_async_context(backend(f"gateway-{n}")) for n in range(1, count + 1)]


@contextmanager
def process(port: int) -> Iterator[subprocess.Popen[bytes]]:
    """A backend in a process of its own, ready."""
    with subprocess.Popen([sys.executable, __file__, str(port)]) as child:
        try:
            await_port(child, port)
            yield child
        finally:
            child.kill()


class Running(NamedTuple):
    """A balancer's process and where it is. `url`: where clients are served, `plain`: without TLS."""

    process: subprocess.Popen[bytes]
    program: Program
    model: Balancer
    directory: Path

    @property
    def port(self) -> int:
        return self.model.tls.port if self.model.tls else self.model.port

    @property
    def url(self) -> str:
        return f"http{'s' if self.model.tls else ''}://127.0.0.1:{self.port}"

    @property
    def plain(self) -> str:
        return f"http://127.0.0.1:{self.model.port}"

    def reload(self) -> None:
        """Tell it to; HAProxy does not listen to that while it starts."""
        bit = 1 << (self.program.reload_signal - 1)
        while (
            not int(re.findall(r"SigCgt:\s*(\w+)", Path(f"/proc/{self.process.pid}/status").read_text())[0], 16) & bit
        ):
            time.sleep(0.01)
        self.process.send_signal(self.program.reload_signal)

    def workers(self) -> set[int]:
        """Its children that live."""
        return set(map(int, Path(f"/proc/{self.process.pid}/task/{self.process.pid}/children").read_text().split()))

    def said(self) -> str:
        return (self.directory / "log").read_text()


@contextmanager
def balanced(program: Program, model: Balancer, directory: Path) -> Iterator[Running]:
    """The balancer, listening."""
    program.configure(model, directory)
    with (
        (directory / "log").open("wb") as log,
        subprocess.Popen(program.command(directory), stdout=log, stderr=log) as child,
    ):
        try:
            await_port(child, model.port)
            running = Running(child, program, model, directory)
            while not running.workers():  # nginx listens before it has one
                time.sleep(0.01)
            yield running
        finally:
            child.terminate()


def await_port(child: subprocess.Popen[bytes], port: int, seconds: float = 10) -> None:
    deadline = time.monotonic() + seconds
    while True:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if child.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.01)
        else:
            return


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as probe:
        return int(probe.getsockname()[1])


@contextmanager
def refusing() -> Iterator[int]:
    """A port that refuses connections; bound, so that no test beside this one begins to listen there."""
    with socket.socket() as bound:
        bound.bind(("127.0.0.1", 0))
        yield int(bound.getsockname()[1])


async def _serve(port: int) -> None:
    async with backend("process", port):
        await asyncio.Event().wait()


if __name__ == "__main__":
    asyncio.run(_serve(int(sys.argv[1])))
