"""What is done to a host, as pyinfra operations: each compares with what was read and yields nothing when it is so already.

They are called under the host's lock (`hosts.lock`), so what was read a moment ago still holds.
"""

from __future__ import annotations

import base64
import shlex
from collections.abc import Generator
from pathlib import PurePosixPath

from pyinfra.api import StringCommand, operation

_PATH = "PATH=/usr/sbin:/sbin:/usr/bin:/bin"


@operation()
def file_kept(path: str, text: str, have: str | None, mode: str = "644") -> Generator[StringCommand, None, None]:
    """A file, whole or as before: on the disk itself before this ends, its name too."""
    if have == text:
        return
    place = PurePosixPath(path)
    new = shlex.quote(f"{place.parent}/.{place.name}.veloz-new")
    folder = shlex.quote(str(place.parent))
    directory_mode = "700" if mode == "600" else "755"
    yield StringCommand(
        f"[ -d {folder} ] || install -d -m {directory_mode} {folder}; "
        f"rm -f {new} && umask 077 && base64 -d > {new} && chmod {mode} {new} && sync {new} "
        f"&& mv -fT {new} {shlex.quote(path)} && sync {folder}",
        _stdin=base64.encodebytes(text.encode()).decode(),
    )


@operation()
def file_gone(path: str, have: str | None) -> Generator[StringCommand, None, None]:
    if have is None:
        return
    yield StringCommand(f"rm -f {shlex.quote(path)} && sync {shlex.quote(str(PurePosixPath(path).parent))}")


@operation()
def module_loaded(module: str, *, loaded: bool) -> Generator[StringCommand, None, None]:
    if not loaded:
        yield StringCommand(f"{_PATH} modprobe {shlex.quote(module)}")


@operation()
def module_gone(module: str, *, loaded: bool) -> Generator[StringCommand, None, None]:
    """One that something uses by now stays: what it gives may not be taken from under it."""
    if loaded:
        name = shlex.quote(module)
        yield StringCommand(f"{_PATH} rmmod {name} || {{ {_PATH} lsmod | grep -q '^{module} ' && exit 0; }}")


@operation()
def sysctl_set(key: str, value: str, have: str | None) -> Generator[StringCommand, None, None]:
    """Where a key may not be written, `sysctl` says that it ignores it, and ends well."""
    if have != value:
        yield StringCommand(
            f'said=$({_PATH} sysctl -q -w {shlex.quote(f"{key}={value}")} 2>&1) && [ -z "$said" ] '
            '|| { echo "$said" >&2; exit 1; }'
        )


@operation()
def sysfs_set(path: str, value: str, have: str | None) -> Generator[StringCommand, None, None]:
    """Of an interrupt its driver may keep the CPUs to itself (EIO): that ends nothing, and `verify` tells it."""
    if have != value:
        kept = " 2>/dev/null || true" if path.startswith("/proc/irq/") else ""
        yield StringCommand(f"{{ printf '%s' {shlex.quote(value)} > {shlex.quote(path)}; }}{kept}")


@operation()
def told(command: str, *, when: bool) -> Generator[StringCommand, None, None]:
    """A service hears of new files."""
    if when:
        yield StringCommand(f"{_PATH} {command}")
