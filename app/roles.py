"""Who may do what: a viewer reads, a trader also trades on its account, an admin does everything on any."""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Role(StrEnum):
    VIEWER = "viewer"
    TRADER = "trader"
    ADMIN = "admin"

    def includes(self, other: Role) -> bool:
        order = list(Role)
        return order.index(self) >= order.index(other)


class Principal(msgspec.Struct, frozen=True):
    """Who a request comes from. `session` is the SHA-256 of its session token, None when it came with a key."""

    key_id: str | None
    account: str
    role: Role
    session: bytes | None = None
    cookie: bool = False
