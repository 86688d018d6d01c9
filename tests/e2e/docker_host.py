"""The Docker daemon of this machine, asked by its own command, and containers looked at from inside their network."""

from __future__ import annotations

import json
import subprocess
import threading
import time
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any, NamedTuple

from tests.e2e import network_of

LABEL = "io.veloz.deployment"
_EVENT_SECONDS = 1.0


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


def files(deployment: str) -> dict[str, bytes]:
    """What the parts of a deployment have as files, by volume and path in it."""
    found: dict[str, bytes] = {}
    for volume in named("volume", deployment):
        if "-files" in volume:
            folder = Path(docker("volume", "inspect", "--format", "{{.Mountpoint}}", volume).strip())
            inside = (path for path in folder.rglob("*") if path.is_file())
            found |= {f"{volume}/{path.relative_to(folder)}": path.read_bytes() for path in inside}
    return found


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
    return network_of.listening(process(name))


def inside(name: str, command: Sequence[str], given: str = "") -> str:
    return network_of.inside(process(name), command, given)


def reached(name: str, places: Iterable[tuple[str, int]]) -> set[tuple[str, int]]:
    return network_of.reached(process(name), places)


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
