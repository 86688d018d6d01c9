"""`provision`: a bare host until it serves, or until `make up` can deploy to it."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from pathlib import PurePosixPath
from typing import Any, Final

from hosts import (
    cores,
    docker_stage,
    firewalling,
    native,
    native_install,
    native_stores,
    offered,
    places,
    preflight,
    tuning_commands,
)
from hosts.bundle import bundle
from hosts.facts.look import Look, LookAround
from hosts.inventory import Member
from hosts.native_facts import Deployed, Units
from hosts.native_stores import StoresFact
from hosts.offered import OfferedFact
from hosts.session import Session
from hosts.stages import go_through
from stacks import edge, ports, reach
from stacks.commands.findings import Finding, show
from stacks.commands.output import Output

# Whose ports a host may have in use already: our own, from a run before.
_OURS: Final = {"native": ("nginx", "haproxy"), "docker": ("docker-proxy", "dockerd")}
_UNITS: Final = {"native": places.BALANCER_UNIT, "docker": "docker.service"}
_GATEWAY: Final = PurePosixPath(places.PYTHON).name
_STORES: Final = {ports.POSTGRES: "postgres", ports.REDIS: "redis-server"}
_DISK_MIB: Final = 3072  # packages, the compiler among them, three releases, and a database to begin with


def provision(members: Sequence[Member], output: Output, *, dry: bool = False) -> dict[str, Any]:
    """Raises Failure at the first thing that is wrong; running it again goes on from there."""
    if any(member.spec.hosts.install == "native" for member in members):
        native.refuse(members)
    for member in members:  # all of them, before the first is changed
        output.say(f"{member.machine.address}: looking", "bold")
        show(_findings(member), output)
    return {"hosts": [_one(member, output, dry=dry) for member in members], "dry_run": dry}


def _findings(member: Member) -> list[Finding]:
    session = Session(member.machine)
    look = session.fact(LookAround)
    kind = member.spec.hosts.install
    ours = _OURS[kind] if session.fact(Units, pattern=_UNITS[kind]) else ()
    wanted = [one.port for one in reach.published(member.spec)] if "balancer" in member.machine.roles else []
    if kind == "native":
        wanted.append(ports.BALANCER_HEALTH)
    room = look.free_mib >= _DISK_MIB
    return [
        *preflight.findings(look, time.time(), wanted, ours),
        Finding("room to install", f"{_DISK_MIB} MiB free", f"{look.free_mib} MiB", "ok" if room else "refused",
                "Make room below /var and /opt."),
        *(_of_native(member, session, look) if kind == "native" else ()),
    ]  # fmt: skip


def _of_native(member: Member, session: Session, look: Look) -> Iterator[Finding]:
    gateways = [native.gateway_address(member.spec, n + 1) for n in range(member.spec.gateways.replicas)]
    ours = (_GATEWAY,) if session.fact(Units, pattern=places.GATEWAY_UNITS) else ()
    yield preflight.own_addresses(look, ports.GATEWAY, gateways, ours)
    yield from offered.findings(session.fact(OfferedFact), (look.system, look.version), edge.kind(member.spec))
    deployed = session.fact(Deployed)
    yield from native.findings(member.spec, deployed)
    if not deployed:
        # Where another program has its port, a store's package makes its cluster at another one, or does not start.
        for port, process in _STORES.items():
            yield preflight.held(look, port, (process,))
        yield from native_stores.findings(session.fact(StoresFact))


def _one(member: Member, output: Output, *, dry: bool) -> dict[str, Any]:
    session = Session(member.machine)
    changed = _prepare(member, output, dry=dry)
    install = _native if member.spec.hosts.install == "native" else _docker
    document = install(member, session, output, dry=dry)
    document["changed"] = [*changed, *document["changed"]]
    count = len(document["changed"])
    output.say(f"{session.name}: {count} {'changes would be made' if dry else 'changes'}.", "bold")
    return {"host": session.name, **document}


def _prepare(member: Member, output: Output, *, dry: bool) -> list[str]:
    """Tuning and firewall, as their own commands do them."""
    tuned = tuning_commands.tune((member,), output, dry=dry)["hosts"][0]
    closed = firewalling.firewall((member,), output, dry=dry)["hosts"][member.machine.address]
    tuning = (["what is shown above"] if tuned["diff"] else []) if dry else tuned["changed"]
    return [f"tuning: {one}" for one in tuning] + [f"firewall: {one}" for one in closed["changes"]]


def _native(member: Member, session: Session, output: Output, *, dry: bool) -> dict[str, Any]:
    cpus = session.ask(cores.of_host, member.spec.gateways.replicas)
    changed = go_through(session, native_install.stages(member, bundle(), cpus), output, dry=dry)
    document: dict[str, Any] = {"changed": changed, "url": native.url(member.spec)}
    return document if dry else document | {"steps": native_install.prove(member, session, output)}


def _docker(member: Member, session: Session, output: Output, *, dry: bool) -> dict[str, Any]:
    conflicts = docker_stage.merged(member, session.fact(docker_stage.EngineFiles)).conflicts
    for conflict in conflicts:
        output.say(f"note: {conflict}", "yellow")
    return {"changed": go_through(session, docker_stage.stages(member), output, dry=dry), "notes": list(conflicts)}
