"""How many open files a local Docker daemon may give a container. Nothing is changed."""

from __future__ import annotations

import contextlib
import re
import socket
import struct
from pathlib import Path
from typing import Final

_PROC: Final = Path("/proc")
_DAEMON: Final = "dockerd"
_SECONDS: Final = 8
_CREDENTIALS: Final = struct.Struct("3i")
_CAP_SYS_RESOURCE: Final = 24
# A user namespace's map that is none: then a capability is one of the whole machine, and rootless Docker's is not.
_WHOLE: Final = ["0", "0", "4294967295"]


def open_files(where: str) -> int | None:
    """The most; None where the daemon's process is not seen from here."""
    if (pid := _daemon(where.removeprefix("unix://"))) is None:
        return None
    try:
        return allowed(_PROC / str(pid), int((_PROC / "sys/fs/nr_open").read_text()))
    except (OSError, ValueError):
        return None


def allowed(process: Path, most: int) -> int | None:
    """What a process may give its children, by its folder in /proc: its hard limit, or `most` where it may raise that."""
    status = re.search(r"^CapEff:\s*([0-9a-f]+)$", (process / "status").read_text(), re.MULTILINE)
    machine = (process / "uid_map").read_text().split() == _WHOLE
    if status and machine and int(status[1], 16) >> _CAP_SYS_RESOURCE & 1:
        return most
    limit = re.search(r"^Max open files\s+\S+\s+(\S+)", (process / "limits").read_text(), re.MULTILINE)
    if limit is None:
        return None
    return most if limit[1] == "unlimited" else int(limit[1])


def _daemon(path: str) -> int | None:
    """Who listens there, else the only one there is: a socket that systemd opened is systemd's."""
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(_SECONDS)
        probe.connect(path)
        told = probe.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _CREDENTIALS.size)
        pid: int = _CREDENTIALS.unpack(told)[0]
        if _name(pid) == _DAEMON:
            return pid
    found = [pid for one in _PROC.glob("[0-9]*") if _name(pid := int(one.name)) == _DAEMON]
    return found[0] if len(found) == 1 else None


def _name(pid: int) -> str:
    with contextlib.suppress(OSError):
        return (_PROC / str(pid) / "comm").read_text().strip()
    return ""
