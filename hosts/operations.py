"""What is done to a host, as pyinfra operations: each compares with what was read and yields nothing when it is so already.

They are called under the host's lock (`hosts.lock`), so what was read a moment ago still holds.
"""

from __future__ import annotations

import base64
import shlex
from collections.abc import Iterator
from pathlib import PurePosixPath

from pyinfra.api import StringCommand, operation

_PATH = "PATH=/usr/sbin:/sbin:/usr/bin:/bin"


@operation()
def file_kept(path: str, text: str, have: str | None, mode: str = "644") -> Iterator[StringCommand]:
    """A file, whole or as before: on the disk itself before this ends, its name too."""
    if have == text:
        return
    place = PurePosixPath(path)
    new = shlex.quote(f"{place.parent}/.{place.name}.veloz-new")
    folder = shlex.quote(str(place.parent))
    directory_mode = "700" if mode == "600" else "755"
    # Permissions first: nobody reads it before they hold.
    yield StringCommand(
        f"[ -d {folder} ] || install -d -m {directory_mode} {folder}; rm -f {new} && umask 077 && base64 -d > {new} && chmod {mode} {new} "
        f"&& sync {new} && mv -fT {new} {shlex.quote(path)} && sync {folder}",
        _stdin=base64.encodebytes(text.encode()).decode(),
    )


@operation()
def file_gone(path: str, have: str | None) -> Iterator[StringCommand]:
    if have is None:
        return
    yield StringCommand(f"rm -f {shlex.quote(path)} && sync {shlex.quote(str(PurePosixPath(path).parent))}")


@operation()
def module_loaded(module: str, *, loaded: bool) -> Iterator[StringCommand]:
    if not loaded:
        yield StringCommand(f"{_PATH} modprobe {shlex.quote(module)}")


@operation()
def module_gone(module: str, *, loaded: bool) -> Iterator[StringCommand]:
    """One that something uses by now stays: what it gives may not be taken from under it."""
    if loaded:
        name = shlex.quote(module)
        yield StringCommand(f"{_PATH} rmmod {name} || {{ {_PATH} lsmod | grep -q '^{module} ' && exit 0; }}")


@operation()
def sysctl_set(key: str, value: str, have: str | None) -> Iterator[StringCommand]:
    if have != value:
        yield StringCommand(f"{_PATH} sysctl -q -w {shlex.quote(f'{key}={value}')}")


@operation()
def sysfs_set(path: str, value: str, have: str | None) -> Iterator[StringCommand]:
    if have != value:
        yield StringCommand(f"printf '%s' {shlex.quote(value)} > {shlex.quote(path)}")


@operation()
def told(command: str, *, when: bool) -> Iterator[StringCommand]:
    """A service hears of new files."""
    if when:
        yield StringCommand(f"{_PATH} {command}")
