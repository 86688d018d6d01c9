"""apt as pyinfra operations."""

from __future__ import annotations

import shlex
from collections.abc import Generator
from pathlib import Path
from typing import Final

from pyinfra.api import StringCommand, operation

from hosts.facts.packages import APT_LOCK
from hosts.places import RUN_DIR
from hosts.tuning_packages import Back, Needed

_SCRIPT: Final = Path(__file__).with_name("on_host") / "packages.sh"
_LOG: Final = f"{RUN_DIR}/apt.log"


@operation()
def installed(wanted: Needed) -> Generator[StringCommand, None, None]:
    """Only what was foreseen, and so is remembered."""
    if wanted.names:
        yield _alone("install", "\n".join(wanted.apt.lines), *wanted.names)


@operation()
def put_back(way: Back) -> Generator[StringCommand, None, None]:
    """In one go, so that a clock is never without its daemon; else nothing is changed, and what stays is said."""
    if way:
        pairs = " ".join(f"{name}={version}" for name, version in way.restore.items())
        yield _alone("back", " ".join(way.purge), pairs, " ".join(way.automatic))


def _alone(*arguments: str) -> StringCommand:
    """One apt of ours at a time. It writes to a file, and so goes on to its end when nobody listens any more."""
    script = _SCRIPT.read_text(encoding="utf-8")
    work = shlex.join(["flock", APT_LOCK, "sh", "-c", script, "packages.sh", *arguments])
    return StringCommand(
        f"install -d -m 700 {RUN_DIR} && {work} >{_LOG} 2>&1 || {{ rc=$?; tail -n 1 {_LOG} >&2; exit $rc; }}"
    )
