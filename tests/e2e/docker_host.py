"""The Docker daemon of this machine, asked by its own command, and containers looked at from inside their network."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

LABEL = "io.veloz.deployment"
_LISTEN = "0A"
_CONNECT_SECONDS = 1.0
_EVENT_SECONDS = 1.0

# Runs with the network of a container: tries all, prints those that were accepted.
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


class Ended(NamedTuple):
    """A container that was told to stop, and did."""

    name: str
    seconds: float
    status: int


def docker(*arguments: str, seconds: float = 60) -> str:
    """Raises AssertionError with what it says."""
    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, timeout=seconds, check=False)
    assert done.returncode == 0, f"docker {' '.join(arguments[:3])}: {done.stderr.strip()}"
    return done.stdout


def inspect(name: str) -> dict[str, Any]:
    (found,) = json.loads(docker("inspect", name))
    return dict(found)


def named(what: str, deployment: str) -> set[str]:
    """`container`, `network` or `volume`: those of a deployment, stopped ones too."""
    every = ["--all"] if what == "container" else []
    form = "{{.Names}}" if what == "container" else "{{.Name}}"
    return set(docker(what, "ls", *every, "--filter", f"label={LABEL}={deployment}", "--format", form).split())


def remove(deployment: str) -> None:
    """All that a deployment left, whoever made it."""
    for what, force in (("container", ["--force", "--volumes"]), ("network", []), ("volume", [])):
        if found := named(what, deployment):
            docker(what, "rm", *force, *sorted(found), seconds=120)


def running(deployment: str) -> set[str]:
    return set(docker("ps", "--filter", f"label={LABEL}={deployment}", "--format", "{{.Names}}").split())


def process(name: str) -> int:
    return int(inspect(name)["State"]["Pid"])


def processes(name: str) -> set[int]:
    """All in the container, by the host's numbers."""
    return {int(line) for line in docker("top", name, "-eo", "pid").split()[1:]}


def logs(name: str, since: str = "0") -> str:
    """What it wrote on both of its outputs."""
    command = ["docker", "logs", "--since", since, name]
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, timeout=60, check=True)
    return done.stdout


def addresses(name: str) -> dict[str, str]:
    """Network → address."""
    return {network: it["IPAddress"] for network, it in inspect(name)["NetworkSettings"]["Networks"].items()}


def listening(name: str) -> set[int]:
    """Ports that anything in the container listens on, IPv4 and IPv6, by the kernel's word."""
    found = set()
    for table in ("tcp", "tcp6"):
        for line in Path(f"/proc/{process(name)}/net/{table}").read_text().splitlines()[1:]:
            fields = line.split()
            if fields[3] == _LISTEN:
                found.add(int(fields[1].rsplit(":", 1)[1], 16))
    return found


def inside(name: str, command: Sequence[str], given: str = "") -> str:
    """A program of this machine in the network of a container; needs root."""
    whole = ["nsenter", "--target", str(process(name)), "--net", *command]
    return subprocess.run(whole, input=given, capture_output=True, text=True, timeout=120, check=True).stdout


def reached(name: str, places: Iterable[tuple[str, int]]) -> set[tuple[str, int]]:
    """The places that accept a connection from a container."""
    told = inside(name, [sys.executable, "-I", "-c", _TRY, str(_CONNECT_SECONDS)], json.dumps(list(places)))
    return {(host, port) for host, port in json.loads(told)}


@contextmanager
def stops(deployment: str) -> Iterator[list[Ended]]:
    """From the first signal to the end, of every container that is stopped meanwhile; complete when it is left.

    The daemon keeps few events, and each health check is three of them: so they are followed, not asked for afterwards.
    """
    ended: list[Ended] = []
    follow = ["docker", "events", "--format", "{{json .}}", "--filter", f"label={LABEL}={deployment}"]
    kinds = ["--filter", "type=container", "--filter", "event=kill", "--filter", "event=die"]
    with subprocess.Popen([*follow, *kinds], stdout=subprocess.PIPE, text=True) as process:
        thread = threading.Thread(target=_collect, args=(process.stdout, ended), daemon=True)
        thread.start()
        try:
            yield ended
        finally:
            time.sleep(_EVENT_SECONDS)
            process.terminate()
            thread.join()


def _collect(lines: Iterable[str], ended: list[Ended]) -> None:
    told: dict[str, float] = {}
    for event in map(json.loads, lines):
        identity, at = event["id"], event["timeNano"] / 1e9
        if event["Action"] == "kill":
            told.setdefault(identity, at)
        elif identity in told:
            attributes = event["Actor"]["Attributes"]
            ended.append(Ended(attributes["name"], at - told.pop(identity), int(attributes["exitCode"])))


def started_at(name: str) -> datetime:
    return datetime.fromisoformat(inspect(name)["State"]["StartedAt"][:26] + "+00:00")
