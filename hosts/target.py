"""A host as it is named: `[user@]address[:port]`, its key, and what it is for."""

from __future__ import annotations

import ipaddress
import re
from pathlib import Path

import msgspec

from stacks.commands.failures import Failure
from stacks.machines import Machine
from tuning.profile import ROLES, Role

_FORM = re.compile(
    r"(?:(?P<user>[^@]+)@)?(?P<address>\[[0-9A-Fa-f:.]+\]|[^:\[\]@]+|[0-9A-Fa-f]*:[0-9A-Fa-f:.]*:[0-9A-Fa-f:.]*)(?::(?P<port>\d+))?"
)


def parse(text: str, *, key: str = "", roles: str = "") -> Machine:
    """Of what stands on a command line. Raises Failure that names value, rule and remedy."""
    found = _FORM.fullmatch(text.strip())
    if not found:
        raise Failure(
            f"HOST = {text!r}: must be [user@]address[:port], an IPv6 address with a port in [brackets]; e.g. HOST=root@192.0.2.7"
        )
    fields = {
        "address": found["address"].strip("[]"),
        "key": key_file(key),
        "roles": parse_roles(roles),
    }
    fields |= {"user": found["user"]} if found["user"] else {}
    fields |= {"port": int(found["port"])} if found["port"] else {}
    try:
        return msgspec.convert(fields, Machine)
    except msgspec.ValidationError as error:
        raise Failure(f"HOST = {text!r}: {error}; e.g. HOST=root@192.0.2.7") from None


def key_file(key: str) -> str:
    """Its path, `~` resolved; empty for none. Raises Failure."""
    if key and not Path(key).expanduser().is_file():
        raise Failure(f"SSH_KEY = {key!r}: there is no such file; name the file of the private key")
    return str(Path(key).expanduser()) if key else ""


def parse_roles(text: str) -> tuple[Role, ...]:
    """Of `gateway,engine`; all when empty. Raises Failure."""
    named = [name.strip() for name in text.replace(" ", ",").split(",") if name.strip()]
    if unknown := [name for name in named if name not in ROLES]:
        raise Failure(f"ROLES = {text!r}: there is no role {', '.join(unknown)}; choose from {', '.join(ROLES)}")
    return tuple(role for role in ROLES if role in named) or ROLES


def canonical(name: str) -> str:
    """A name or an address in the one form in which it can be compared."""
    try:
        return str(ipaddress.ip_address(name))
    except ValueError:
        return name.lower()
