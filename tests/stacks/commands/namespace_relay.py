"""A port of this machine that leads to the same one in a process's own network namespace."""

from __future__ import annotations

import ctypes
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress

_CLONE_NEWNET = 0x40000000
_CHUNK = 65536


@contextmanager
def relayed(port: int, pid: int) -> Iterator[None]:
    """While inside. Needs root."""
    with socket.create_server(("127.0.0.1", port)) as server:
        threading.Thread(target=_serve, args=(server, port, pid), daemon=True).start()
        try:
            yield
        finally:
            with suppress(OSError):
                server.shutdown(socket.SHUT_RDWR)  # ends its accept


def _serve(server: socket.socket, port: int, pid: int) -> None:
    with suppress(OSError):
        while True:
            here, _ = server.accept()
            threading.Thread(target=_join, args=(here, port, pid), daemon=True).start()


def _join(here: socket.socket, port: int, pid: int) -> None:
    """In a thread of its own: a namespace is entered by a thread alone, and a socket keeps the one it was made in."""
    with here, suppress(OSError):
        _enter(pid)
        with socket.create_connection(("127.0.0.1", port), 10) as there:
            there.settimeout(None)
            back = threading.Thread(target=_pump, args=(there, here), daemon=True)
            back.start()
            _pump(here, there)
            back.join()


def _enter(pid: int) -> None:
    libc = ctypes.CDLL(None, use_errno=True)
    with open(f"/proc/{pid}/ns/net", "rb") as namespace:  # noqa: PTH123 - its number is wanted
        if libc.setns(namespace.fileno(), _CLONE_NEWNET):
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))


def _pump(source: socket.socket, target: socket.socket) -> None:
    with suppress(OSError):
        while chunk := source.recv(_CHUNK):
            target.sendall(chunk)
        target.shutdown(socket.SHUT_WR)
