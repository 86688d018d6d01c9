"""The engine's process: bytes in, events out."""

import json
import subprocess
from pathlib import Path

from tests.engine.model_events import Event


def parse(line: bytes | str) -> Event:
    """One event with its numbers as the text they were printed as."""
    event = json.loads(line, parse_float=str, parse_int=str)
    assert isinstance(event, dict)
    return event


def talk(engine: Path, data: bytes, *, timeout: float = 20) -> list[Event]:
    """What the engine says to `data` and the end of file, `ready` left off; it must exit with status 0."""
    done = subprocess.run([engine], input=data, capture_output=True, timeout=timeout, check=True)
    assert done.stderr == b""
    assert done.stdout.endswith(b"\n")
    events = [parse(line) for line in done.stdout.splitlines()]
    assert events[0] == {"type": "ready", "version": events[0]["version"], "protocol": "1"}
    return events[1:]


def say(engine: Path, *lines: str) -> list[Event]:
    return talk(engine, "".join(f"{line}\n" for line in lines).encode())


def by_request(events: list[Event]) -> dict[str, list[Event]]:
    """Events by the number of their command, each list ended by `done`."""
    answers: dict[str, list[Event]] = {}
    for event in events:
        answers.setdefault(str(event["req"]), []).append(event)
    return answers
