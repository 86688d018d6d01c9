"""The native install of one host: its stages in order, and the proof that it serves."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Iterator
from functools import partial
from typing import Any, Final

import msgspec

from hosts import native, native_stage, places, provided
from hosts.bundle import Bundle
from hosts.inventory import Member
from hosts.native_facts import Authority, Smoke
from hosts.session import Session
from hosts.stages import Stage
from hosts.units import Cpus
from stacks.commands.client import Edge
from stacks.commands.failures import Failure
from stacks.commands.output import Output
from stacks.commands.smoke import wait_ready
from stacks.spec import EVERY_ADDRESS

_LOOPBACK: Final = "127.0.0.1"


def stages(member: Member, made: Bundle, cpus: Cpus) -> Iterator[Stage]:
    """Before the last one nothing of an install that runs is touched but its stores' settings."""
    mine = provided.read(member, os.environ)
    yield Stage("packages of the system", partial(native_stage.packages, member))
    yield Stage("users and directories", partial(native_stage.users, member))
    yield Stage("PostgreSQL and Redis", partial(native_stage.stores, member))
    yield Stage("its database", partial(native_stage.database, member))
    yield Stage(f"release {made.release}", partial(native_stage.program, member, made))
    yield Stage("secrets and certificate", partial(native_stage.secrets, member, made.release, mine))
    yield Stage("units and configuration", partial(native_stage.configuration, member, made.release, cpus))
    yield Stage("start", partial(native_stage.start, member, made.release, cpus))


def prove(member: Member, session: Session, output: Output) -> list[list[Any]]:
    """An order through the balancer, on the host, where the key is; then that clients outside are met. Raises Failure."""
    spec = member.spec
    authority = places.AUTHORITY if spec.edge.tls.source == "generated" else "-"
    port = spec.edge.https_port if spec.encrypted else spec.edge.http_port
    inside = _LOOPBACK if spec.edge.address in EVERY_ADDRESS else spec.edge.address
    told = [native.url(spec), inside, str(port), authority, places.API_KEY, str(native.READY_SECONDS)]
    with output.step("an order through the balancer"):
        said = session.fact(Smoke, arguments=told)
        try:
            answer = msgspec.json.decode(said)
        except msgspec.DecodeError:
            raise Failure(f"{session.name}: the smoke test said nothing that can be read: {said[-500:]!r}") from None
        if not answer["ok"]:
            raise Failure(f"{session.name}: {answer['error']}")
    for what, detail, seconds in answer["steps"]:
        output.say(f"  {what}: {detail} ({seconds * 1000:.0f} ms)")
    if inside == spec.edge.address and inside == _LOOPBACK:
        output.say("edge.address is loopback: nobody else is met, so nothing was asked from here.")
        return list(answer["steps"])
    edge = Edge(native.url(spec), member.machine.address, port, session.fact(Authority))
    with output.step(f"from here: {edge.url}") as progress:
        waited = asyncio.run(wait_ready(edge, native.READY_SECONDS, progress))
    return [*answer["steps"], ["from the controller", edge.url, waited]]
