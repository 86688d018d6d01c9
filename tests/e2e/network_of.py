"""The network that a process of this machine has, a container's or a pod's, looked at from inside; needs root."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterable, Sequence
from pathlib import Path

_LISTEN = "0A"
_CONNECT_SECONDS = 1.0

# Tries all, prints those that were accepted.
_TRY = """
import asyncio, json, sys
few = asyncio.Semaphore(200)
async def one(host, port):
    async with few:
        return await tried(host, port)
async def tried(host, port):
    try:
        _, writer = await asyncio.wait_for(asyncio.open_connection(host, port), float(sys.argv[1]))
    except (OSError, asyncio.TimeoutError):
        return None
    writer.close()
    return [host, port]
async def main():
    print(json.dumps([it for it in await asyncio.gather(*(one(h, p) for h, p in json.load(sys.stdin))) if it]))
asyncio.run(main())
"""


def listening(process: int) -> set[int]:
    """Ports that anything listens on, IPv4 and IPv6, by the kernel's word."""
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{process}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == _LISTEN:
                found.add(int(fields[1].rsplit(":", 1)[1], 16))
    return found


def inside(process: int, command: Sequence[str], given: str = "") -> str:
    """A program of this machine in that network."""
    whole = ["nsenter", "--target", str(process), "--net", *command]
    return subprocess.run(whole, input=given, capture_output=True, text=True, timeout=120, check=True).stdout


def reached(process: int, places: Iterable[tuple[str, int]]) -> set[tuple[str, int]]:
    """The places that accept a connection from there."""
    told = inside(process, [sys.executable, "-I", "-c", _TRY, str(_CONNECT_SECONDS)], json.dumps(list(places)))
    return {(host, port) for host, port in json.loads(told)}
