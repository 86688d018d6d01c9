"""Bare hosts in a description: which machines there are, what each is for, and who may come near."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from tuning.profile import ROLES, Level, Role

Network = Annotated[str, Meta(pattern=r"^[0-9A-Fa-f.:]{2,45}/[0-9]{1,3}\Z")]
HugePages = Annotated[int, Meta(ge=0, le=1_048_576, description="of 2 MiB")]


class Machine(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """A host that SSH reaches."""

    address: Annotated[str, Meta(pattern=r"^[A-Za-z0-9.:_-]{1,253}\Z")]
    user: Annotated[str, Meta(pattern=r"^[a-z_][a-z0-9_-]{0,31}\Z", description="root, or one who may sudo")] = "root"
    port: Annotated[int, Meta(ge=1, le=65_535, description="of its sshd")] = 22
    key: Annotated[str, Meta(description="file of the private key; empty: SSH's usual ones")] = ""
    roles: tuple[Role, ...] = ROLES


class Hosts(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`management`: networks that may use SSH and see monitoring, besides the administrator's own address.

    `huge_pages` None: as many as something asks for. `may_lower`: sysctls that may be set below the kernel's own value.
    """

    machines: tuple[Machine, ...] = ()
    install: Annotated[Literal["native", "docker"], Meta(description="systemd units, or a Docker engine")] = "native"
    management: tuple[Network, ...] = ()
    tuning: Level = "low_latency"
    huge_pages: HugePages | None = None
    fast_open: Annotated[bool, Meta(description="TCP Fast Open; a replayed packet may repeat a POST")] = False
    may_lower: tuple[Annotated[str, Meta(pattern=r"^[a-z0-9_.-]{1,120}\Z")], ...] = ()
