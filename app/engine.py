"""The engine child: one process, commands in, batches of events out.

A batch is all that one request caused, in the engine's order. Batches complete in that order too, because the engine
carries commands out one by one.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from signal import SIGKILL
from typing import Any, TypeVar, cast

import msgspec

from app.child import bound_to_us, environment
from app.exchange_config import StartRefused
from app.wire import PROTOCOL, Event, Ready, decode_error, decode_ready, read_event

log = logging.getLogger(__name__)

T = TypeVar("T")

_DONE = b'{"type":"done","req":'
_STDIN, _STDOUT, _STDERR = 0, 1, 2

# A terminal's Ctrl-C and systemd's SIGTERM go to the whole group; the engine is needed until the gateway has drained.
_DEAF = ("env", "--ignore-signal=INT,TERM")


class EngineLost(Exception):
    """The engine ended, hangs or speaks nonsense; the message says which."""


class Batch(msgspec.Struct):
    """All events of one request but `done`."""

    events: list[Event]

    def error(self) -> tuple[str, str] | None:
        """Code and message of the first `error`, if there is one."""
        for event in self.events:
            if event.type == "error":
                found = decode_error(event.payload)
                return found.code, found.message
        return None


class _Request(msgspec.Struct):
    remaining: int
    batch: Batch
    decided: Callable[[Batch], None]


class Engine(asyncio.SubprocessProtocol):
    """One engine process. `lost` is done, with the reason, as soon as it is of no more use."""

    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        self.lost: asyncio.Future[str] = loop.create_future()
        self.pid = 0
        self._loop = loop
        self._greeting: asyncio.Future[Ready] = loop.create_future()
        self._exited: asyncio.Future[None] = loop.create_future()
        self._transport: asyncio.SubprocessTransport | None = None
        self._stdin: asyncio.WriteTransport | None = None
        self._requests: dict[int, _Request] = {}
        self._last_req = 0
        self._outgoing: list[str] = []
        self._partial = b""

    @classmethod
    async def start(cls, path: Path, timeout: float, cpus: str = "") -> Engine:
        """Start the program, on `cpus` (as taskset reads them) alone, and await its greeting. StartRefused, EngineLost."""
        engine = cls()
        if not os.access(path, os.X_OK):
            raise StartRefused(f"there is no engine at {path}; build it, or name another path")
        pinned = ("taskset", "--cpu-list", cpus) if cpus else ()
        try:
            await engine._loop.subprocess_exec(
                lambda: engine, *bound_to_us([*_DEAF, *pinned, str(path)], SIGKILL), env=environment()
            )
        except OSError as error:
            raise StartRefused(f"the engine {path} cannot be started: {error.strerror}") from error
        try:
            ready = await engine._answer(engine._greeting, timeout)
        except BaseException:
            await engine.stop()
            raise
        if ready.protocol != PROTOCOL:
            await engine.stop()
            raise StartRefused(
                f"the engine {path} speaks protocol {ready.protocol}, this gateway {PROTOCOL}; "
                "build both from one version"
            )
        log.info("engine %s started, pid %d", ready.version, engine.pid)
        return engine

    async def _answer(self, answer: asyncio.Future[T], timeout: float) -> T:
        waiting: set[asyncio.Future[Any]] = {answer, self.lost}
        await asyncio.wait(waiting, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        if answer.done():
            return answer.result()
        answer.cancel()
        raise EngineLost(self.lost.result() if self.lost.done() else f"no answer in {timeout} s")

    def send(self, lines: Sequence[str], decided: Callable[[Batch], None]) -> None:
        """Hand the lines to the engine as one request; `decided` gets what all of them caused together.

        It is called in the engine's order, and never when the engine is lost before.
        """
        self._last_req += 1
        req = self._last_req
        for line in lines:
            if not (line.isascii() and line.isprintable()):
                raise ValueError(f"{line!r} is not one line of printable ASCII")
        self._requests[req] = _Request(len(lines), Batch([]), decided)
        if not self._outgoing:
            self._loop.call_soon(self._flush)
        self._outgoing.extend(f"@{req} {line}\n" for line in lines)

    async def ask(self, lines: Sequence[str], timeout: float, decided: Callable[[Batch], None] | None = None) -> Batch:
        """`send`, and await the batch, `timeout` seconds at most. EngineLost."""
        answer: asyncio.Future[Batch] = self._loop.create_future()

        def answered(batch: Batch) -> None:
            if decided is not None:
                decided(batch)
            if not answer.done():
                answer.set_result(batch)

        self.send(lines, answered)
        return await self._answer(answer, timeout)

    async def watch(
        self, line: Callable[[], str], decided: Callable[[Batch], None], interval: float, timeout: float
    ) -> str:
        """Send `line()` every `interval` seconds; an engine that does not answer for `timeout` is killed.

        Returns why the engine is lost, once it is.
        """
        while not self.lost.done():
            start = time.monotonic()
            try:
                await self.ask([line()], timeout, decided)
            except EngineLost:
                if time.monotonic() - start < 1.5 * timeout:  # later than that it was we who hung
                    self.fail(f"no heartbeat for {timeout} s")
            await asyncio.wait({self.lost}, timeout=max(0.0, start + interval - time.monotonic()))
        return self.lost.result()

    def fail(self, reason: str) -> None:
        """Declare the engine lost and kill it."""
        if not self.lost.done():
            self.lost.set_result(reason)
            self._requests.clear()
        if self._transport is not None and self._transport.get_returncode() is None:
            self._transport.kill()

    async def stop(self) -> None:
        """Kill the engine and await its end."""
        self.fail("stopped")
        if self._transport is not None:
            await self._exited
            self._transport.close()

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.SubprocessTransport", transport)
        self._stdin = cast("asyncio.WriteTransport", self._transport.get_pipe_transport(_STDIN))
        self.pid = self._transport.get_pid()

    def pipe_data_received(self, fd: int, data: bytes) -> None:
        if fd == _STDERR:
            for line in data.splitlines():
                log.warning("engine: %s", line.decode(errors="replace"))
            return
        if self.lost.done():
            return
        lines = (self._partial + data).split(b"\n")
        self._partial = lines.pop()
        for line in lines:
            try:
                self._receive(line)
            except (msgspec.MsgspecError, KeyError, ValueError) as error:
                log.exception("engine line %r", line[:200])
                self.fail(f"an unreadable line: {error}")
                return

    def process_exited(self) -> None:
        code = self._transport.get_returncode() if self._transport else None
        if not self.lost.done():
            self.fail(f"ended with {f'signal {-code}' if code is not None and code < 0 else f'status {code}'}")
        self._exited.set_result(None)

    def _flush(self) -> None:
        text, self._outgoing = "".join(self._outgoing), []
        if self._stdin is not None and not self.lost.done():
            self._stdin.write(text.encode())

    def _receive(self, line: bytes) -> None:
        if line.startswith(_DONE):
            req = int(line[len(_DONE) : -1])
            request = self._requests[req]
            request.remaining -= 1
            if request.remaining == 0:
                del self._requests[req]
                request.decided(request.batch)
            return
        number, event = read_event(line)
        if number is not None:
            self._requests[number].batch.events.append(event)
        elif event.type == "ready" and not self._greeting.done():
            self._greeting.set_result(decode_ready(line))
        else:
            raise ValueError("an event without request")
