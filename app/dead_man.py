"""The dead man's switch over HTTP: a key's open orders are cancelled when the key is not heard of for so long.

It is about the calling key alone, an admin's too, and about the orders that the key placed on its own account.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import timedelta
from typing import Any, Final, Literal

import msgspec

from app.errors import BadParams, Forbidden
from app.login import Done
from app.money import SCALE, number
from app.operation import Call, Decimal, Nothing, NullableDecimal
from app.paging import raw
from app.params import Amount
from app.roles import Role
from app.switches import KINDS, Kind

LEAST: Final = SCALE
MOST: Final = 86_400 * SCALE
_MICROSECOND: Final = SCALE // 1_000_000


class SwitchBody(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """`timeout_seconds`: 1 to 86400, decimals allowed and read to the microsecond; 0 disarms."""

    timeout_seconds: Amount


class Switch(msgspec.Struct, frozen=True, kw_only=True):
    """`expires_at` is in Unix nanoseconds by the database's clock, null when disarmed."""

    ok: Literal[True] = True
    kind: Literal["timer"] = "timer"
    armed: bool
    timeout_seconds: Decimal
    expires_at: int | None


class SwitchState(msgspec.Struct, frozen=True, kw_only=True):
    """`fired_at` (Unix nanoseconds): when it last fired, if it was not armed since."""

    kind: Kind
    armed: bool
    timeout_seconds: NullableDecimal
    expires_in_seconds: NullableDecimal
    fired_at: int | None


class SwitchList(msgspec.Struct, frozen=True):
    items: list[SwitchState]


async def set_timer(call: Call[Any, SwitchBody]) -> Switch:
    switches, units = call.services.switches, call.body.timeout_seconds
    timeout = seconds("timeout_seconds", units)
    if timeout is None:
        await switches.disarm(_key(call), ("timer",))
        return Switch(armed=False, timeout_seconds=number(0), expires_at=None)
    expires_at = await switches.arm(_key(call), "timer", call.principal.account, timeout)
    return Switch(armed=True, timeout_seconds=number(units), expires_at=expires_at)


async def states(call: Call[Nothing, Any]) -> SwitchList:
    found = await call.services.switches.of_key(_key(call))
    items = []
    for kind in KINDS:
        one = found.get(kind)
        items.append(
            SwitchState(
                kind=kind,
                armed=one is not None and one.armed,
                timeout_seconds=raw(one.timeout if one else None),
                expires_in_seconds=raw(one.expires_in if one else None),
                fired_at=one.fired_at if one else None,
            )
        )
    return SwitchList(items)


async def disarm(call: Call[Nothing, Any]) -> Done:
    await call.services.switches.disarm(_key(call), KINDS)
    return Done()


@asynccontextmanager
async def held_by_stream(call: Call[Any, Any], units: Amount | None) -> AsyncIterator[None]:
    """Around a stream with `cancel_on_disconnect`: armed before it begins, refreshed while its connection stands.

    None does nothing, 0 disarms. Raises Forbidden (a viewer), BadParams, and one of DATABASE_AWAY: no stream without its switch.
    """
    if units is None:
        yield
        return
    if not call.principal.role.includes(Role.TRADER):
        raise Forbidden(f"the key's role is {call.principal.role}, cancel_on_disconnect needs {Role.TRADER}")
    timeout, services, request = seconds("cancel_on_disconnect", units), call.services, call.request
    if timeout is None:
        await services.switches.disarm(_key(call), ("stream",))
        yield
        return

    def gone() -> bool:
        """A quiet stream is written to seldom, and only a write would tell its handler."""
        return request.transport is None or request.transport.is_closing()

    await services.switches.arm(_key(call), "stream", call.principal.account, timeout)
    with services.switch_watch.held(_key(call), timeout, gone):
        yield


def seconds(name: str, units: int) -> timedelta | None:
    """A time-out; None for 0. Raises BadParams."""
    if units == 0:
        return None
    if not LEAST <= units <= MOST:
        raise BadParams(
            f"{name} is {units / SCALE:g}; it must be 0, or from {LEAST // SCALE} to {MOST // SCALE} seconds"
        )
    return timedelta(microseconds=units // _MICROSECOND)


def _key(call: Call[Any, Any]) -> str:
    """Without authentication everybody is one caller, whose orders carry no key either."""
    return call.principal.key_id or ""
