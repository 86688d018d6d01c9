"""The directory a local VeloZ keeps its data in: one owner at a time, room on the disk, private directories."""

import fcntl
import os
import shutil
import stat
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from pathlib import Path
from typing import Final

from app.child import User

MINIMUM_FREE_MIB: Final = 200
ORPHANS_SECONDS: Final = 20
# sockaddr_un.sun_path holds 108 bytes with the final NUL (unix(7)); PostgreSQL's lock file has the longest name.
SOCKET_DIR_MAX: Final = 107 - len("/.s.PGSQL.5432.lock")


class DataDirError(Exception):
    """A directory that cannot be used: which one, why, and what to do."""


@contextmanager
def exclusive(data_dir: Path) -> Iterator[int]:
    """Hold the directory's lock; yields its descriptor.

    The servers inherit it, so whoever gets the lock knows that no server of an earlier start is alive.
    """
    try:
        data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
        lock = os.open(data_dir / "lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    except OSError as error:
        msg = f"The data directory {data_dir} cannot be used: {error.strerror}. Choose another with --data-dir."
        raise DataDirError(msg) from error
    try:
        _take(lock, data_dir)
        _check_space(data_dir)
        os.ftruncate(lock, 0)
        os.pwrite(lock, str(os.getpid()).encode(), 0)
        yield lock
    finally:
        os.close(lock)


def _take(lock: int, data_dir: Path) -> None:
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        return
    except BlockingIOError:
        holder = os.pread(lock, 20, 0).decode()
    # A holder that was killed leaves servers that are shutting down: they are waited for.
    wait = ["flock", "--timeout", str(ORPHANS_SECONDS), str(lock)]
    if not lives(holder) and not subprocess.run(wait, pass_fds=[lock], check=False).returncode:
        return
    msg = f"The data directory {data_dir} is in use by process {holder}. Stop that, or choose another with --data-dir."
    raise DataDirError(msg)


def lives(pid: str) -> bool:
    """Whether a process runs; one that ended and that nobody has waited for does not."""
    try:
        return Path("/proc", pid or "none", "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def _check_space(data_dir: Path) -> None:
    free = shutil.disk_usage(data_dir).free >> 20
    if free < MINIMUM_FREE_MIB:
        msg = (
            f"The disk of {data_dir} has {free} MiB free; {MINIMUM_FREE_MIB} MiB are needed. "
            "Make room, or choose another directory with --data-dir."
        )
        raise DataDirError(msg)


def private_dir(path: Path, user: User) -> Path:
    """A directory of mode 0700 that belongs to `user`; one that cannot be is refused."""
    try:
        path.mkdir(mode=0o700, exist_ok=True)
        if os.geteuid() == 0:
            os.chown(path, user.uid, user.gid, follow_symlinks=False)
        found = path.lstat()
    except OSError as error:
        msg = f"The directory {path} cannot be used: {error.strerror}. Choose another data directory with --data-dir."
        raise DataDirError(msg) from error
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != user.uid:
        msg = (
            f"{path} belongs to user id {found.st_uid}, not to {user.uid}. "
            "Run as the user who made it, or choose another directory with --data-dir."
        )
        raise DataDirError(msg)
    path.chmod(0o700)
    return path


def socket_dir(data_dir: Path, user: User) -> Path:
    """A private, empty directory for sockets: in the data directory, or under /tmp when that path is too long."""
    path = data_dir / "run"
    if len(os.fsencode(path)) > SOCKET_DIR_MAX:
        name = f"veloz-{sha256(os.fsencode(data_dir)).hexdigest()[:16]}"
        path = Path("/tmp", name)  # noqa: S108 (its mode is 0700 and its owner is checked)
    for left in private_dir(path, user).iterdir():
        left.unlink()
    return path
