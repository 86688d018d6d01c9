"""`provision`: a bare host until it serves, or until `make up` can deploy to it."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

from hosts import docker_stage, native, native_install
from hosts.bundle import bundle
from hosts.inventory import Member
from hosts.session import Session
from hosts.stages import Stage, go_through
from hosts.units import Cpus
from stacks.commands.output import Output


def provision(members: Sequence[Member], output: Output, *, dry: bool = False) -> dict[str, Any]:
    """Raises Failure at the first thing that is wrong; running it again goes on from there."""
    if any(member.spec.hosts.install == "native" for member in members):
        native.refuse(members)
    found = []
    for member in members:
        session = Session(member.machine)
        install = _native if member.spec.hosts.install == "native" else _docker
        document = install(member, session, output, dry=dry)
        output.say(f"{session.name}: {len(document['changed'])} {'would change' if dry else 'changed'}.")
        found.append({"host": session.name, **document})
    return {"hosts": found, "dry_run": dry}


def _native(member: Member, session: Session, output: Output, *, dry: bool) -> dict[str, Any]:
    stages = native_install.stages(member, bundle(), Cpus())
    changed = go_through(session, stages, output, dry=dry)
    document: dict[str, Any] = {"changed": changed, "url": native.url(member.spec)}
    return document if dry else document | {"steps": native_install.prove(member, session, output)}


def _docker(member: Member, session: Session, output: Output, *, dry: bool) -> dict[str, Any]:
    conflicts = docker_stage.merged(member, session.fact(docker_stage.EngineFiles)).conflicts
    for conflict in conflicts:
        output.say(f"note: {conflict}", "yellow")
    stages = (
        Stage("packages of Docker", partial(docker_stage.packages, member)),
        Stage("Docker engine", partial(docker_stage.configure, member)),
    )
    return {"changed": go_through(session, stages, output, dry=dry), "notes": list(conflicts)}
