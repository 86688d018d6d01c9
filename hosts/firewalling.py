"""`firewall`: close a host but for what the description opens, and never the way in of who does it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from paramiko import SSHException
from pyinfra.api.host import Host

from hosts import exposure, firewall_plan, firewall_stage
from hosts.exposure import Seen
from hosts.firewall_facts import Firewall, FirewallFact, LiveConnection
from hosts.firewall_plan import Plan
from hosts.inventory import Member
from hosts.session import Session
from hosts.ufw import Rule
from stacks.commands.failures import Failure, Interrupted
from stacks.commands.output import Output

_OF_SSH_CONNECTION: Final = 4
_ANSWER_SECONDS: Final = 5
_POLL_SECONDS: Final = 1.0
# Until the timer has undone a change: its own seconds, a running command's, and those of undoing.
_UNDONE_SECONDS: Final = firewall_stage.REVERT_SECONDS + 25


class Look(NamedTuple):
    """A host's firewall as it is, the rules as they should be, and where the host sees this machine."""

    found: Firewall
    rules: tuple[Rule, ...]
    administrator: str


def firewall(members: Sequence[Member], output: Output, *, dry: bool = False, off: bool = False) -> dict[str, Any]:
    """One host after the other. `off`: back to what was before the first run. Raises Failure."""
    return {"hosts": {member.machine.address: _one(member, output, dry=dry, off=off) for member in members}}


def look(member: Member, session: Session) -> Look:
    """Raises Failure."""
    found, live = session.ask(_seen, exposure.names(member))
    if len(live) != _OF_SSH_CONNECTION:
        raise Failure(
            f"{session.name}: its sshd does not say where this connection comes from (SSH_CONNECTION is empty)"
        )
    administrator, _, _, port = live
    ports = tuple(sorted({int(port), *found.ssh_ports}))
    administrator = exposure.source(administrator)
    return Look(found, exposure.rules(member, Seen(administrator, ports, found.resolved)), administrator)


def change(session: Session, plan: Plan, *, forget: bool = False) -> None:
    """Armed, applied, tried with a new connection beside the old one, confirmed.

    Raises Failure; once it was armed the host has its former firewall then, and the message says so, or that nobody can tell.
    """
    session.ask(_beside, session, plan, forget=forget)


def _one(member: Member, output: Output, *, dry: bool, off: bool) -> dict[str, Any]:
    session = Session(member.machine)
    seen = look(member, session)
    if not seen.found.installed and not dry and not off:
        with output.step(f"{session.name}: installing ufw"):
            session.run(firewall_stage.install)
        seen = look(member, session)
    plan = firewall_plan.off(seen.found) if off else firewall_plan.plan(seen.rules, seen.found)
    _show(session, plan, output)
    if plan.changes and not dry:
        with output.step(f"{session.name}: firewall"):
            *parts, last = plan.parts
            for part in parts:
                change(session, part)
            change(session, last, forget=off)
    return {
        "changes": [one.words for one in plan.changes],
        "notes": list(plan.notes),
        "changed": bool(plan.changes and not dry),
    }


def _show(session: Session, plan: Plan, output: Output) -> None:
    for note in plan.notes:
        output.say(f"{session.name}: {note}")
    for one in plan.changes:
        output.say(f"{session.name}: {one.words}")
    if not plan.changes:
        output.say(f"{session.name}: the firewall is as it should be, 0 changes")


def _seen(host: Host, names: Sequence[str]) -> tuple[Firewall, list[str]]:
    """On one connection: `ufw limit` refuses whoever makes six in half a minute, and until its rule is there this does too."""
    return host.get_fact(FirewallFact, names=list(names)), host.get_fact(LiveConnection, _sudo=False).split()


def _beside(host: Host, session: Session, plan: Plan, *, forget: bool) -> None:
    """With a connection from before the change, which must live on; every run makes a new one, the last proves that it can."""
    session.run(firewall_stage.arm, plan)
    try:
        session.run(firewall_stage.apply)
        _lives(host)
        session.run(firewall_stage.disarm, forget=forget)
    except Failure as error:
        raise Failure(f"{error}; {_undone(session)}") from error
    except KeyboardInterrupt:
        raise Interrupted(f"Stopped; {session.name} puts its former firewall back within half a minute.") from None


def _lives(host: Host) -> None:
    try:
        alive, _ = host.run_shell_command("true", _timeout=_ANSWER_SECONDS)
    except (OSError, EOFError, SSHException) as error:
        raise Failure(f"{host.name}: the connection from before the change is dead: {error}") from error
    if not alive:
        raise Failure(f"{host.name}: the connection from before the change does not answer")


def _undone(session: Session) -> str:
    """Waits until the host has done it, so that nobody has to guess."""
    end = time.monotonic() + _UNDONE_SECONDS
    while time.monotonic() < end:
        try:
            if not session.fact(FirewallFact).armed:
                return "the host has its former firewall back"
        except Failure:
            pass
        time.sleep(_POLL_SECONDS)
    return (
        "the host cannot be asked whether it has its former firewall back: its own timer does that, also after a reboot"
    )
