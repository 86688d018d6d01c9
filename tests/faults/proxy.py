"""A TCP proxy in a process of its own, to break connections between parts that are alive.

`Proxy` starts and steers it; run as a program it is the proxy: one command a line on its standard input, one answer each.
What it cannot show is a network that drops packets: the kernel of this machine goes on acknowledging what is sent.
"""

from __future__ import annotations

import asyncio
import json
import socket
import struct
import subprocess
import sys
from pathlib import Path
from types import TracebackType
from typing import Literal, Self

ROOT = Path(__file__).resolve().parents[2]
CHUNK = 65_536
RESET = struct.pack("ii", 1, 0)  # SO_LINGER with 0 s: close sends RST

Mode = Literal["pass", "cut", "refuse", "black hole", "delay"]


class Proxy:
    """Listens on `port` of loopback for `upstream`: a Unix socket's path, or host:port. `tap` keeps what clients sent."""

    def __init__(self, upstream: str, port: int, tap: Path | None = None) -> None:
        self.port = port
        command = [sys.executable, "-m", "tests.faults.proxy", upstream, str(port), str(tap or "")]
        self._process = subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self._answer()

    def set(self, mode: Mode, seconds: float = 0.0) -> int:
        """Turn to a mode; returns how many connections there were.

        pass; cut: end all by RST, then pass; refuse: end all and listen no more; black hole: take new ones and everything that
        is sent, and answer nothing, not even an end; delay: hand on what is sent `seconds` later. What was in the black hole
        is ended by RST when the mode changes.
        """
        if self._process.stdin is None:
            raise RuntimeError("the proxy has no input")
        self._process.stdin.write(json.dumps([mode, seconds]) + "\n")
        self._process.stdin.flush()
        return self._answer()

    def _answer(self) -> int:
        line = self._process.stdout.readline() if self._process.stdout else ""
        if not line:
            raise RuntimeError(f"the proxy ended with status {self._process.wait()}")
        return int(line)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.communicate()


class _Pair:
    """A client's connection and the one to the upstream."""

    def __init__(self, client: asyncio.StreamWriter, server: asyncio.StreamWriter | None) -> None:
        self.client = client
        self.server = server
        self.poisoned = False

    def reset(self) -> None:
        for writer in (self.client, self.server):
            if writer is not None:
                connection = writer.get_extra_info("socket")
                if connection.family == socket.AF_INET and connection.fileno() >= 0:
                    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, RESET)
                writer.transport.abort()


class _Server:
    def __init__(self, upstream: str, port: int, tap: str) -> None:
        self._upstream = upstream
        self._port = port
        self._tap = Path(tap).open("ab", buffering=0) if tap else None  # noqa: SIM115 - the process's whole life
        self._mode: str = "pass"
        self._delay = 0.0
        self._pairs: set[_Pair] = set()
        self._listener: asyncio.Server | None = None

    async def listen(self) -> None:
        if self._listener is None:
            self._listener = await asyncio.start_server(self._serve, "127.0.0.1", self._port, backlog=512)

    async def turn(self, mode: str, seconds: float) -> int:
        count = len(self._pairs)
        leaving, self._mode, self._delay = self._mode, "pass" if mode == "cut" else mode, seconds
        for pair in list(self._pairs):
            if mode in {"cut", "refuse"} or (leaving == "black hole" and pair.poisoned):
                pair.reset()
        if mode == "refuse" and self._listener is not None:
            self._listener.close()
            self._listener = None
        elif mode != "refuse":
            await self.listen()
        return count

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        pair = _Pair(writer, None)
        self._pairs.add(pair)
        try:
            if self._mode == "black hole":
                pair.poisoned = True
                await self._copy(pair, reader, None)
                return
            upstream, pair.server = await self._connect()
            await asyncio.gather(self._copy(pair, reader, pair.server), self._copy(pair, upstream, writer))
        except OSError:
            pass
        finally:
            pair.reset() if pair.poisoned else self._close(pair)
            self._pairs.discard(pair)

    async def _connect(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        if self._upstream.startswith("/"):
            return await asyncio.open_unix_connection(self._upstream)
        host, _, port = self._upstream.rpartition(":")
        return await asyncio.open_connection(host, int(port))

    async def _copy(self, pair: _Pair, reader: asyncio.StreamReader, writer: asyncio.StreamWriter | None) -> None:
        """Hand on until the end, which is handed on too. In the black hole everything is swallowed, the end as well."""
        while data := await reader.read(CHUNK):
            if self._tap is not None and writer is not pair.client:
                self._tap.write(data)
            if self._delay:
                await asyncio.sleep(self._delay)
            if self._mode == "black hole" or pair.poisoned or writer is None:
                pair.poisoned = True
                continue
            writer.write(data)
            await writer.drain()
        if self._mode == "black hole":
            pair.poisoned = True
            while self._mode == "black hole":  # noqa: ASYNC110 - `turn` ends it
                await asyncio.sleep(0.05)
        if writer is not None and writer.can_write_eof() and not pair.poisoned:
            writer.write_eof()

    @staticmethod
    def _close(pair: _Pair) -> None:
        for writer in (pair.client, pair.server):
            if writer is not None:
                writer.close()


async def main(upstream: str, port: str, tap: str) -> None:
    server = _Server(upstream, int(port), tap)
    await server.listen()
    print(0, flush=True)  # noqa: T201
    reader = asyncio.StreamReader()
    await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
    while line := await reader.readline():
        print(await server.turn(*json.loads(line)), flush=True)  # noqa: T201


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:4]))
