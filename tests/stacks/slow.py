"""Many clients that never finish: `python slow.py PORT COUNT SECONDS AUTHORITY`. It says `ready` when all have come.

Half of them dribble a head, half a body, a byte a second; whoever is cut off comes again. At the end it says how often
that was.
"""

from __future__ import annotations

import asyncio
import random
import ssl
import sys
import time

_HEAD = b"POST /slow HTTP/1.1\r\nHost: x\r\n"
_BODY = b"Content-Length: 60000\r\n\r\n"
_AT_ONCE = 50  # handshakes


class Crowd:
    def __init__(self, port: int, count: int, seconds: float, authority: str) -> None:
        self.full = asyncio.Event()
        self.cut_off = 0
        self._port = port
        self._count = count
        self._came: set[int] = set()
        self._deadline = time.monotonic() + seconds
        self._context = ssl.create_default_context(cafile=authority)
        self._gate = asyncio.Semaphore(_AT_ONCE)

    async def client(self, number: int) -> None:
        while time.monotonic() < self._deadline:
            try:
                async with self._gate:
                    _, writer = await asyncio.open_connection("127.0.0.1", self._port, ssl=self._context)
            except OSError:
                await asyncio.sleep(0.1)
                continue
            self._came.add(number)
            if len(self._came) == self._count:
                self.full.set()
            try:
                await self._dribble(writer, _HEAD + (_BODY if number % 2 else b"X-Slow: "))
            except OSError:
                self.cut_off += 1
            finally:
                writer.transport.abort()

    async def _dribble(self, writer: asyncio.StreamWriter, begin: bytes) -> None:
        writer.write(begin)
        while time.monotonic() < self._deadline:
            await asyncio.sleep(random.uniform(0.5, 1.5))
            writer.write(b"x")
            await writer.drain()


async def main(port: int, count: int, seconds: float, authority: str) -> None:
    crowd = Crowd(port, count, seconds, authority)
    async with asyncio.TaskGroup() as group:
        for number in range(count):
            group.create_task(crowd.client(number))
        await crowd.full.wait()
        print("ready", flush=True)  # noqa: T201 - to the test
    print(crowd.cut_off, flush=True)  # noqa: T201


if __name__ == "__main__":
    asyncio.run(main(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]), sys.argv[4]))
