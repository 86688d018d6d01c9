"""What the distribution has to give. What tuning installs, and takes away again, is in tuning_packages.py."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pyinfra import host
from pyinfra.facts.deb import DebPackages
from pyinfra.operations import server

# `sysctl`, `modprobe`, `ss`, `taskset` and `lscpu`.
TOOLS: Final = ("procps", "kmod", "iproute2", "util-linux")
_SCRIPT: Final = Path(__file__).parent / "on_host" / "install_packages.sh"


def installed(names: Sequence[str], what: str) -> None:
    """An operation, called `what`, that installs what is missing of them; nothing is upgraded, nothing taken away for it.

    One that a run before left half-way is missing too.
    """
    there = host.get_fact(DebPackages)
    if missing := [name for name in names if name not in there]:
        server.shell(
            name=what,
            commands=[f"sh -s -- {' '.join(missing)}"],
            _stdin=_SCRIPT.read_text(encoding="utf-8"),
        )
