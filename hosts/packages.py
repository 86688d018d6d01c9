"""What the distribution has to give."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from pyinfra import host
from pyinfra.facts.deb import DebPackages
from pyinfra.operations import server

# `sysctl`, `modprobe`, `ss`, `taskset` and `lscpu`: before a host is tuned.
TOOLS: Final = ("procps", "kmod", "iproute2", "util-linux")
_SCRIPT: Final = Path(__file__).parent / "on_host" / "install_packages.sh"


def installed(names: Sequence[str], what: str = "") -> None:
    """An operation that installs what is missing of them, after a look for what there is now; nothing is upgraded.

    One that a run before left half-way is missing too.
    """
    there = host.get_fact(DebPackages)
    if missing := [name for name in names if name not in there]:
        server.shell(
            name=what or f"packages {' '.join(missing)}",
            commands=[f"sh -s -- {' '.join(missing)}"],
            _stdin=_SCRIPT.read_text(encoding="utf-8"),
        )
