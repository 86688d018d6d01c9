"""What a deployment asks of one host, in plain numbers."""

from __future__ import annotations

from typing import Annotated

import msgspec
from msgspec import Meta

Count = Annotated[int, Meta(ge=0)]


class Demand(msgspec.Struct, frozen=True, forbid_unknown_fields=True, kw_only=True):
    """`gateways`: on this host, each with an engine. `ports`: that listeners of ours have, kept out of the ephemeral range.

    `connections`: open at once, of all roles here. `open_files`: of one process. `backlog`: of a listener. MiB:
    `shared_buffers_mib` of PostgreSQL here, `engine_huge_mib` of all engines here that map huge pages; 0 where none does.
    `postgres_connections`: that PostgreSQL here keeps room for.
    """

    gateways: Count = 1
    connections: Count = 10_000
    open_files: Count = 65_535
    ports: tuple[Annotated[int, Meta(ge=1, le=65_535)], ...] = ()
    shared_buffers_mib: Count = 0
    postgres_connections: Count = 0
    engine_huge_mib: Count = 0
    backlog: Count = 4_096
