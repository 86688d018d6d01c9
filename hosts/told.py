"""What `tune` was told of a host, kept on it: `verify` asks there when nobody says it again."""

from __future__ import annotations

from typing import Final

import msgspec
from pyinfra.api import FactBase
from pyinfra.api.host import Host

from hosts import operations
from hosts.inventory import Member
from hosts.places import STATE_DIR
from hosts.session import Session
from stacks.commands.failures import Failure
from stacks.commands.output import Output
from stacks.spec import Deployment
from tuning.profile import Role

FILE: Final = f"{STATE_DIR}/told.json"


class Told(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`spec`: the description that the host is part of, which has no secrets."""

    roles: tuple[Role, ...]
    spec: Deployment


class Text(FactBase[str | None]):
    """What is kept, or None."""

    def command(self) -> str:
        return f"cat {FILE} 2>/dev/null || true"

    def process(self, output: list[str]) -> str | None:
        return "\n".join(output) + "\n" if output else None


def keep(host: Host, member: Member) -> None:
    """An operation: of whom `tune` was told what."""
    operations.file_kept(
        name="remember what it is for", path=FILE, text=encode(member), have=host.get_fact(Text), mode="600"
    )


def forget(host: Host) -> None:
    """An operation."""
    operations.file_gone(name="forget what it is for", path=FILE, have=host.get_fact(Text))


def encode(member: Member) -> str:
    """Files of private keys are of who told it, not of the host."""
    spec = member.spec
    machines = tuple(msgspec.structs.replace(one, key="") for one in spec.hosts.machines)
    bare = msgspec.structs.replace(spec, hosts=msgspec.structs.replace(spec.hosts, machines=machines))
    told = Told(roles=member.machine.roles, spec=bare)
    return msgspec.json.format(msgspec.json.encode(told, order="sorted")).decode() + "\n"


def recalled(member: Member, text: str | None, *, roles: bool, stack: bool) -> Member:
    """The member as it was told, but for what is said now. Raises Failure when what is kept cannot be understood.

    `roles`, `stack`: whether they are said now. A stack file that names the host says its roles too.
    """
    named = any(one.address == member.machine.address for one in member.spec.hosts.machines)
    if text is None or (stack and (roles or named)):
        return member
    try:
        told = msgspec.json.decode(text, type=Told)
    except msgspec.MsgspecError as error:
        raise Failure(
            f"{member.machine.address}: {FILE}, what `make tune` was told, cannot be understood by this release: {error}; "
            "say ROLES=… and STACK=…, or `make tune` with them once more"
        ) from error
    machine = member.machine if roles else msgspec.structs.replace(member.machine, roles=told.roles)
    return Member(machine, member.spec if stack else told.spec)


def ask(member: Member, session: Session, output: Output, *, roles: bool, stack: bool) -> Member:
    """`recalled` from its host; what is taken from there is said."""
    found = recalled(member, session.fact(Text), roles=roles, stack=stack)
    taken = [
        *(["its roles"] if found.machine.roles is not member.machine.roles else []),
        *(["the description"] if found.spec is not member.spec else []),
    ]
    whence = f"; {' and '.join(taken)} as `make tune` was told (ROLES=…, STACK=… say otherwise)" if taken else ""
    output.say(f"{session.name}: is for {', '.join(found.machine.roles)}{whence}", "bold")
    return found
