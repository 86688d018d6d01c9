"""What a Docker engine is told on a host of ours: /etc/docker/daemon.json, merged with what was there. Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final, NamedTuple, TypeAlias

from hosts.places import STATE_DIR
from stacks.commands.failures import Failure
from stacks.spec import Deployment

FILE: Final = "/etc/docker/daemon.json"
# What of it is ours: with the next description it may change, the administrator's own values may not.
OURS: Final = f"{STATE_DIR}/docker-daemon.json"

Settings: TypeAlias = dict[str, Any]


class Merged(NamedTuple):
    """`conflicts`: the administrator's values that stand against ours; they stay."""

    text: str
    conflicts: tuple[str, ...]


def settings(spec: Deployment) -> Settings:
    """https://docs.docker.com/reference/cli/dockerd/#daemon-configuration-file"""
    return {
        # Containers go on while the daemon is restarted or updated.
        "live-restore": True,
        # Without limits a log fills the disk on which PostgreSQL writes.
        "log-driver": "json-file",
        "log-opts": {"max-size": f"{spec.limits.log_size}m", "max-file": str(spec.limits.log_files)},
        # A process a published port, through which clients' addresses are lost; the kernel does it better.
        "userland-proxy": False,
        "no-new-privileges": True,
        # On the default bridge, where nothing of ours is, nobody reaches anybody.
        "icc": False,
        "default-ulimits": {
            "nofile": {"Name": "nofile", "Soft": spec.limits.open_files, "Hard": spec.limits.open_files}
        },
    }


def read(text: str, path: str = FILE) -> Settings:
    """Of a file; empty text is none. Raises Failure."""
    if not text.strip():
        return {}
    try:
        found = json.loads(text)
    except ValueError as error:
        raise Failure(f"{path}: is not JSON: {error}; correct it, or remove it") from None
    if not isinstance(found, dict):
        raise Failure(f"{path}: must be an object of names and values; correct it, or remove it")
    return found


def merge(have: Mapping[str, Any], ours: Mapping[str, Any], wanted: Mapping[str, Any]) -> Merged:
    """`have` with what is wanted; `ours`: what we wanted the last time."""
    conflicts: list[str] = []
    merged = _merged(have, ours, wanted, "", conflicts)
    return Merged(json.dumps(merged, indent=2) + "\n", tuple(conflicts))


def _merged(
    have: Mapping[str, Any], ours: Mapping[str, Any], wanted: Mapping[str, Any], path: str, conflicts: list[str]
) -> Settings:
    merged = {name: value for name, value in have.items() if name in wanted or ours.get(name) != value}
    for name, value in wanted.items():
        there, before = have.get(name), ours.get(name)
        if there is None or there in (before, value):
            merged[name] = value
        elif isinstance(value, dict) and isinstance(there, dict):
            merged[name] = _merged(there, before or {}, value, f"{path}{name}.", conflicts)
        else:
            conflicts.append(f"{path}{name} is {json.dumps(there)}, {json.dumps(value)} is wanted; {FILE} is left so")
    return merged


def missing(have: Mapping[str, Any], wanted: Mapping[str, Any], path: str = "") -> Iterator[tuple[str, str, str]]:
    """What of the wanted is not so: name, want, have."""
    for name, value in wanted.items():
        there = have.get(name)
        if isinstance(value, dict) and isinstance(there, dict):
            yield from missing(there, value, f"{path}{name}.")
        elif there != value:
            yield f"{path}{name}", json.dumps(value), "" if there is None else json.dumps(there)
