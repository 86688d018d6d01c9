"""What systemd is told of this process by sd_notify(3): it listens, its event loop runs, it leaves."""

from __future__ import annotations

import asyncio
import contextlib
import os
import socket
from collections.abc import Callable, Mapping

READY = "READY=1"
ALIVE = "WATCHDOG=1"
STOPPING = "STOPPING=1"
# Messages in the time that the watchdog allows between two: systemd advises at least 2.
_BEATS = 4


class ServiceManager:
    """`path`: of its datagram socket, @… an abstract one; empty: there is none. `patience`: its watchdog's seconds, 0: none."""

    def __init__(self, path: str = "", patience: float = 0.0) -> None:
        self._address = "\0" + path[1:] if path.startswith("@") else path
        self.patience = patience

    @classmethod
    def of(cls, environ: Mapping[str, str]) -> ServiceManager:
        """Of NOTIFY_SOCKET, WATCHDOG_USEC and WATCHDOG_PID; what is not for this process counts as not given."""
        told = environ.get("WATCHDOG_USEC", "")
        ours = environ.get("WATCHDOG_PID", "") in {"", str(os.getpid())}
        patience = int(told) / 1e6 if told.isascii() and told.isdigit() and ours else 0.0
        return cls(environ.get("NOTIFY_SOCKET", ""), patience)

    def tell(self, state: str) -> None:
        """One message. A manager that is gone or full is no reason to stop: it will be told again."""
        if not self._address:
            return
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.setblocking(False)
            sender.sendto(state.encode(), self._address)

    async def keep_told(self, live: Callable[[], bool]) -> None:
        """For ever: that the event loop runs, from within it, and only while `live()`."""
        while self._address and self.patience:
            if live():
                self.tell(ALIVE)
            await asyncio.sleep(self.patience / _BEATS)
