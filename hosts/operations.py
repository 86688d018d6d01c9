"""What is done to a host, as pyinfra operations: each compares with what was read and yields nothing when it is so already.

They are called under the host's lock (`hosts.lock`), so what was read a moment ago still holds.
"""

from __future__ import annotations

import base64
import shlex
from collections.abc import Generator, Sequence
from pathlib import PurePosixPath

from pyinfra.api import StringCommand, operation

from tuning.machine import folders, unfinished

_PATH = "PATH=/usr/sbin:/sbin:/usr/bin:/bin"


@operation()
def file_kept(path: str, text: str, have: str | None, mode: str = "644") -> Generator[StringCommand, None, None]:
    """A file, whole or as before: on the disk itself before this ends, its name too."""
    if have == text:
        return
    new, folder = shlex.quote(unfinished(path)), shlex.quote(str(PurePosixPath(path).parent))
    directory_mode = "700" if mode == "600" else "755"
    above = " ".join(map(shlex.quote, folders([path])))
    yield StringCommand(
        f"[ -d {folder} ] || {{ umask 022; install -d -m {directory_mode} {folder} && sync {above}; }}; "
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
def unfinished_gone(paths: Sequence[str]) -> Generator[StringCommand, None, None]:
    """What a write left when the machine went down in the middle of it."""
    if paths:
        yield StringCommand(f"rm -f {' '.join(map(shlex.quote, paths))}")


@operation()
def folders_gone(paths: Sequence[str]) -> Generator[StringCommand, None, None]:
    """The deepest first. One in which somebody has put something since stays."""
    if paths:
        yield StringCommand(_rmdir(paths))


@operation()
def forgotten(path: str, paths: Sequence[str]) -> Generator[StringCommand, None, None]:
    """A file, what is left of its writing, and the folders that were made, where nothing else is in them."""
    files = shlex.join([path, unfinished(path)])
    yield StringCommand(f"rm -f {files} && sync {shlex.quote(str(PurePosixPath(path).parent))}; {_rmdir(paths)}")


def _rmdir(paths: Sequence[str]) -> str:
    """A shell's loop; the folder above knows of it before the next one."""
    leave = '[ ! -d "$d" ] || [ -n "$(ls -A "$d")" ]'
    return f'for d in {shlex.join(paths)}; do {leave} || {{ rmdir "$d" && sync "${{d%/*}}/"; }} || exit 1; done'


@operation()
def module_loaded(module: str, *, loaded: bool) -> Generator[StringCommand, None, None]:
    if not loaded:
        yield StringCommand(f"{_PATH} modprobe {shlex.quote(module)}")


@operation()
def module_gone(module: str, *, loaded: bool) -> Generator[StringCommand, None, None]:
    """One that something uses by now stays: what it gives may not be taken from under it."""
    if loaded:
        uses = f"$(awk -v m={shlex.quote(module)} '$1 == m {{print $3}}' /proc/modules)"
        yield StringCommand(f'case "{uses}" in 0) {_PATH} rmmod {shlex.quote(module)};; esac')


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
def marked(paths: Sequence[str]) -> Generator[StringCommand, None, None]:
    """Empty files of /run, in a folder that only root looks into."""
    if paths:
        above = " ".join(dict.fromkeys(shlex.quote(str(PurePosixPath(path).parent)) for path in paths))
        yield StringCommand(f"install -d -m 700 {above} && touch {shlex.join(paths)}")


@operation()
def told(command: str, *, when: bool, mark: str = "") -> Generator[StringCommand, None, None]:
    """A service hears of new files. `mark`: of `marked`, which goes when it has."""
    if when:
        yield StringCommand(f"{_PATH} {command}" + (f" && rm -f {shlex.quote(mark)}" if mark else ""))
