"""Hosts for pyinfra's own command: `HOST=root@192.0.2.7 pyinfra hosts/pyinfra_inventory.py hosts/deploy.py`.

HOST, SSH_KEY, ROLES and STACK count as they do for `make tune`.
"""

from __future__ import annotations

import os

from hosts.inventory import Member, members
from hosts.session import make_known_hosts, ssh_data
from stacks.commands.failures import Failure


def _named() -> tuple[Member, ...]:
    try:
        make_known_hosts()
        return members(*(os.environ.get(name, "") for name in ("HOST", "SSH_KEY", "ROLES", "STACK")))
    except Failure as error:
        raise SystemExit(f"veloz: {error}") from None


veloz = [(one.machine.address, {**ssh_data(one.machine), "member": one}) for one in _named()]
