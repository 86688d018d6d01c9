"""Who hears of files of ours that are new or gone. Pure.

A run may be cut off between a file and who hears of it, and the next one finds the file as it is to be. So a mark is there from
before the file changes until it was heard of; a boot, after which everybody has read what is there, takes it away.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final, NamedTuple

from hosts.places import RUN_DIR
from tuning.machine import Machine


class Listener(NamedTuple):
    """`part`: what paths of its files begin with."""

    part: str
    name: str
    command: str
    mark: str


def _restart(unit: str) -> str:
    """One that does not run, or is not there any more, has nothing to hear, and that is no failure."""
    idle = f"systemctl show -p ActiveState --value {unit} | grep -qxE 'inactive|failed'"
    return f"{idle} || systemctl try-restart {unit}"


LISTENERS: Final = (
    Listener(
        "/etc/systemd/journald.conf.d/",
        "systemctl try-restart systemd-journald",
        _restart("systemd-journald"),
        f"{RUN_DIR}/untold-journald",
    ),
    Listener("/etc/chrony/", "systemctl try-restart chrony", _restart("chrony"), f"{RUN_DIR}/untold-chrony"),
    Listener("/etc/systemd/system/", "systemctl daemon-reload", "systemctl daemon-reload", f"{RUN_DIR}/untold-systemd"),
)
MARKS: Final = tuple(one.mark for one in LISTENERS)


def hearing(texts: Mapping[str, str | None], machine: Machine) -> tuple[Listener, ...]:
    """Those of files that are not so yet, and those who were not told by a run that was cut off."""
    changed = tuple(path for path, text in texts.items() if machine.files.get(path) != text)
    return tuple(
        one for one in LISTENERS if one.mark in machine.there or any(path.startswith(one.part) for path in changed)
    )
