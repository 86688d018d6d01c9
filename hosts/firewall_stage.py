"""The firewall's operations on a host."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Final

from pyinfra.operations import files, server

from hosts.firewall_facts import STATE
from hosts.firewall_plan import GUARD, Plan
from hosts.packages import installed

# A wrong rule is undone after this and what undoing takes, a second; the promise is 30.
REVERT_SECONDS: Final = 24
_SCRIPT: Final = Path(__file__).with_name("templates") / "firewall_guard.sh"
_COMMANDS: Final = f"{STATE}/commands.sh"


def install() -> None:
    """ufw, which changes nothing until it is switched on."""
    installed(("ufw",), "firewall: install ufw")


def arm(plan: Plan) -> None:
    """Whatever happens from here on, the host puts its former firewall back unless `disarm` comes in time."""
    for directory, mode in _directories():
        files.directory(name=f"firewall: {directory}", path=directory, mode=mode)
    files.put(name="firewall: its safety", src=str(_SCRIPT), dest=GUARD, mode="700")
    files.put(name="firewall: what to do", src=io.StringIO(f"set -eu\n{plan.script}"), dest=_COMMANDS, mode="600")
    server.shell(name="firewall: arm the way back", commands=[f"sh {GUARD} arm {REVERT_SECONDS}"])


def apply() -> None:
    """What `arm` left there to do."""
    server.shell(name="firewall: change it", commands=[f"sh {GUARD} apply {_COMMANDS}"])


def disarm(*, forget: bool = False) -> None:
    server.shell(name="firewall: confirm", commands=[f"sh {GUARD} {'forget' if forget else 'disarm'}"])


def _directories() -> tuple[tuple[str, str | None], ...]:
    """The first is the application's too: its mode is not ours to change."""
    path = Path(STATE)
    return ((str(path.parents[1]), None), (str(path.parent), "700"), (STATE, "700"))
