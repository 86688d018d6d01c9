"""`provision`: a bare host until it serves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from hosts import native, native_install
from hosts.inventory import Member
from hosts.session import Session
from hosts.units import Cpus
from stacks.commands.output import Output


def provision(members: Sequence[Member], output: Output, *, dry: bool = False) -> dict[str, Any]:
    """Raises Failure at the first thing that is wrong; running it again goes on from there."""
    for member in members:
        if member.spec.hosts.install == "native":
            native.refuse(members)
    return {"hosts": [_one(member, output, dry=dry) for member in members], "dry_run": dry}


def _one(member: Member, output: Output, *, dry: bool) -> dict[str, Any]:
    session = Session(member.machine)
    document = native_install.install(member, session, output, Cpus(), dry=dry)
    output.say(f"{session.name}: {len(document['changed'])} {'would change' if dry else 'changed'}.")
    return document
