"""A real balancer with small servers behind it and a client before it."""

from __future__ import annotations

import asyncio
import json
import os
import pwd
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager, suppress
from grp import getgrgid
from pathlib import Path
from typing import Any, Final

import aiohttp
import pytest

from stacks.balancer import Balancer, Health, Server
from stacks.programs import Program
from stacks.tls import Tls
from tests.stacks.backends import Backend, Running, backends, balanced, free_port
from tests.stacks.certificates import Algorithm, issue, trusting

# The promises' own figures, where a test has shorter ones.
FULL: Final = os.environ.get("VELOZ_FAULT_FULL") == "1"


def description(ports: Sequence[int], **changes: Any) -> Balancer:  # noqa: ANN401 - the model's fields
    """Of one worker; root's are nobody, as `make run` has it."""
    gateways = tuple(Server(f"gateway-{n}", "127.0.0.1", port) for n, port in enumerate(ports, 1))
    nobody = pwd.getpwnam("nobody")
    user = {"user": "nobody", "group": getgrgid(nobody.pw_gid).gr_name} if os.geteuid() == 0 else {}
    return Balancer(**{"gateways": gateways, "port": free_port(), "workers": 1, "connections": 512, **user, **changes})


def secured(ports: Sequence[int], **changes: Any) -> Balancer:  # noqa: ANN401 - the model's fields
    """With TLS, as deployments have it."""
    port = free_port()
    tls = Tls(port=port, public_port=port, hostname="localhost")
    return description(ports, **{"tls": tls, "health": Health(port=free_port()), **changes})


class Front:
    """A balancer, what is behind it, and a client before it."""

    def __init__(self, running: Running, behind: list[Backend], session: aiohttp.ClientSession) -> None:
        self.running = running
        self.behind = behind
        self.session = session

    async def ask(self, method: str, path: str, **options: Any) -> tuple[int, Any]:  # noqa: ANN401 - aiohttp's own
        async with self.session.request(method, self.running.url + path, **options) as answer:
            return answer.status, json.loads(await answer.text())

    def seen(self) -> Counter[tuple[str, str]]:
        return Counter(request for one in self.behind for request in one.seen)


@asynccontextmanager
async def before(
    program: Program, model: Balancer, directory: Path, algorithm: Algorithm = "ecdsa"
) -> AsyncIterator[Front]:
    """The balancer of `model`; it starts in a thread, because its first health check wants an answer."""
    context = trusting(issue(directory, algorithm)) if model.tls else None
    running_context = balanced(program, model, directory)
    running = await asyncio.to_thread(running_context.__enter__)
    try:
        connector = aiohttp.TCPConnector(limit=200, ssl=context or True)
        timeout = aiohttp.ClientTimeout(total=15)
        async with aiohttp.ClientSession(timeout=timeout, connector=connector) as session:
            yield Front(running, [], session)
    finally:
        await asyncio.to_thread(running_context.__exit__, None, None, None)


@asynccontextmanager
async def front(
    program: Program,
    directory: Path,
    count: int = 2,
    describe: Callable[..., Balancer] = description,
    algorithm: Algorithm = "ecdsa",
    **changes: Any,  # noqa: ANN401 - the model's fields
) -> AsyncIterator[Front]:
    async with (
        backends(count) as behind,
        before(program, describe([one.port for one in behind], **changes), directory, algorithm) as made,
    ):
        made.behind.extend(behind)
        yield made


async def raw(port: int, sent: str | bytes, seconds: float = 3) -> tuple[int, str]:
    """What came back to these very bytes until the other side closed; 0 when nothing did. TimeoutError: it does not close."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(sent.encode() if isinstance(sent, str) else sent)
        data = b""
        try:
            async with asyncio.timeout(seconds):
                while part := await reader.read(65_536):
                    data += part
        except ConnectionResetError:
            pass
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()
    head, _, body = data.decode().partition("\r\n\r\n")
    return int(head.split()[1]) if head else 0, body


async def until(condition: Any, seconds: float) -> None:  # noqa: ANN401 - a callable
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        await asyncio.sleep(0.02)


def spares_connections(program: Program) -> None:
    """Skip where a reload closes connections on which a request may be on its way: nothing can be set against that."""
    if program.kind == "nginx" and program.version < (1, 27, 4):
        pytest.skip(f"{program.name} has no keepalive_min_timeout; 1.27.4 is the first")
