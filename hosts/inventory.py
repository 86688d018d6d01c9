"""Which hosts there are and what each is for: from a stack file, or the one that a command line names."""

from __future__ import annotations

import re
from typing import NamedTuple

import msgspec

from hosts.target import canonical, key_file, parse
from stacks.commands.failures import Failure
from stacks.document import STACKS, load, read_stack
from stacks.machines import Machine
from stacks.refusals import SpecError
from stacks.spec import Deployment


class Member(NamedTuple):
    """A host, and the deployment that it is part of."""

    machine: Machine
    spec: Deployment

    @property
    def peers(self) -> tuple[Machine, ...]:
        """The other hosts of the deployment."""
        return tuple(one for one in self.spec.hosts.machines if one.address != self.machine.address)


def members(
    host: str = "", key: str = "", roles: str = "", stack: str = "", *, clients: bool = False
) -> tuple[Member, ...]:
    """Of the command line; the description's defaults where there is no stack. Raises Failure.

    `key` is also of all machines of the stack file that name none; `roles` are of `host` alone. `clients`: whether it matters
    where clients meet the host, so that a name of SSH's settings, which none can be met at, will not do.
    """
    if not host:
        if roles:
            raise Failure(
                f"ROLES = {roles!r}: says what the host that HOST names is for; name it too (HOST=…), or leave ROLES out: "
                "then hosts.machines[].roles of the stack file count"
            )
        usual_key, spec = key_file(key), _spec(stack)
        if not spec.hosts.machines:
            raise Failure(
                "HOST is not given and the stack file names no hosts.machines; say HOST=[user@]address, or STACK=… with hosts"
            )
        return tuple(
            Member(msgspec.structs.replace(machine, key=machine.key or usual_key), spec)
            for machine in spec.hosts.machines
        )
    named = parse(host, key=key, roles=roles)
    spec = _spec(stack, named.address, clients=clients)
    for machine in spec.hosts.machines:
        if canonical(machine.address) == canonical(named.address):
            # What the command line says counts, the rest is the stack file's.
            usual = Machine(address=named.address)
            said = {
                name: value
                for name in usual.__struct_fields__
                if (value := getattr(named, name)) != getattr(usual, name)
            }
            return (Member(msgspec.structs.replace(machine, **said), spec),)
    return (Member(named, spec),)


def _spec(stack: str, address: str = "", *, clients: bool = False) -> Deployment:
    """Without a stack file the description's defaults, met by clients at the host's own name or IPv4 address.

    An IPv6 address is no name that the model has for an edge: then it is met on the host alone.
    """
    try:
        if stack:
            return read_stack(STACKS / f"Pulumi.{stack}.yaml")
        name = canonical(address)
        public = re.fullmatch(r"[a-z0-9.-]+", name) and name != "localhost"
        if clients and not public and name != "localhost" and ":" not in name:
            raise Failure(
                f"HOST = {address!r}: without STACK clients meet a host at its own name, which is of letters, digits, - and . "
                "alone; say STACK=… of a description with edge.hostname, or HOST by its address"
            )
        edge = {"address": "0.0.0.0", "hostname": name} if public else {}  # noqa: S104
        return load({"topology": "compose", "edge": edge})
    except SpecError as error:
        raise Failure(f"stack {stack or 'compose'}:\n{error}") from None
