"""What makes dead man's switches work, in every gateway: streams that hold theirs, and the firing of those that are due.

A switch fires where its account is owned, whoever armed it: T after the last refresh, and by 0.7 s later when the owner is
there. A gateway that dies between cancelling and noting it leaves the switch armed and due, so the next owner fires it again;
that is right, because it means that orders of the key are to be cancelled.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from typing import Final

import msgspec
from prometheus_client import Counter

from app.borrow import DATABASE_AWAY
from app.errors import VelozError
from app.exchange import Exchange
from app.switches import Due, Kind, Switches

_LOG = logging.getLogger("veloz.switches")

REASONS: Final[dict[Kind, str]] = {"timer": "DEAD_MAN", "stream": "DISCONNECTED"}
LOOK_SECONDS: Final = 0.2
REFRESH_SECONDS: Final = 0.4
# A stream that drops just before its refresh still has all of its time, with a late event loop too.
MORE: Final = timedelta(seconds=REFRESH_SECONDS + 0.1)
# After a silence of the database nobody could refresh: those who are there get a moment to do it.
CALM_SECONDS: Final = 1.0
ROUNDS: Final = 3
AT_ONCE: Final = 4  # the pool is the handlers' too


class _Hold(msgspec.Struct, eq=False):
    """An open stream that keeps its key's switch from firing, until `gone`."""

    key_id: str
    timeout: timedelta
    gone: Callable[[], bool]


class SwitchWatch:
    """One gateway's share of the work; `run` must be running."""

    def __init__(self, switches: Switches, exchange: Exchange, fired: Counter) -> None:
        self._switches = switches
        self._exchange = exchange
        self._fired = fired
        self._holds: set[_Hold] = set()
        self._firing: dict[tuple[str, str], asyncio.Task[None]] = {}
        self._turn = asyncio.Semaphore(AT_ONCE)
        self._heard = False
        self._calm_until = 0.0

    @contextmanager
    def held(self, key_id: str, timeout: timedelta, gone: Callable[[], bool]) -> Iterator[None]:
        """While inside and not `gone`, the key's `stream` switch, which is armed already, is refreshed.

        Of several streams of a key here the shortest time counts.
        """
        hold = _Hold(key_id, timeout, gone)
        self._holds.add(hold)
        try:
            yield
        finally:
            self._holds.discard(hold)

    async def run(self) -> None:
        """Until cancelled."""
        try:
            await asyncio.gather(_again(self._refresh, REFRESH_SECONDS), _again(self._look, LOOK_SECONDS))
        finally:
            for task in self._firing.values():
                task.cancel()

    async def _refresh(self) -> None:
        timeouts: dict[str, timedelta] = {}
        for hold in self._holds:
            if not hold.gone():
                timeouts[hold.key_id] = min(hold.timeout, timeouts.get(hold.key_id, hold.timeout))
        if timeouts:
            await self._switches.refresh(timeouts, MORE)

    async def _look(self) -> None:
        try:
            due = await self._switches.due()
        except DATABASE_AWAY:
            if self._heard:  # at the start of a gateway nothing fell silent
                self._calm_until = time.monotonic() + CALM_SECONDS
            raise
        self._heard = True
        if time.monotonic() < self._calm_until:
            return
        self._firing = {name: task for name, task in self._firing.items() if not task.done()}
        for one in due:
            name = (one.key_id, one.kind)
            if name not in self._firing and self._exchange.owns(one.account):
                self._firing[name] = asyncio.create_task(self._fire(one))

    async def _fire(self, due: Due) -> None:
        """Cancel until nothing is open, or what comes is newer than the switch. What fails is due again at the next look."""
        cancelled = 0
        try:
            async with self._turn:
                for _ in range(ROUNDS):
                    count = await self._exchange.cancel_of_key(due.account, due.key_id or None, REASONS[due.kind])
                    cancelled += count
                    if not count:
                        break
                marked = await self._switches.fired(due, cancelled)
        except (VelozError, *DATABASE_AWAY) as error:
            _LOG.warning("a switch could not fire yet", extra={"key_id": due.key_id, "why": str(error)})
            return
        except Exception:  # noqa: BLE001 - each is a defect; the others must fire all the same
            _LOG.exception("a switch did not fire", extra={"key_id": due.key_id})
            return
        if marked:
            self._fired.labels(due.kind).inc()
            _LOG.warning("a switch fired", extra={"key_id": due.key_id, "kind": due.kind, "cancelled": cancelled})


async def _again(action: Callable[[], Awaitable[None]], seconds: float) -> None:
    """Do it every so many seconds, whatever comes of it."""
    while True:
        started = time.monotonic()
        try:
            await action()
        except (VelozError, *DATABASE_AWAY) as error:
            _LOG.debug("switches wait for the database", extra={"why": str(error)})
        except Exception:  # noqa: BLE001 - a switch that nobody watches would be worse than any defect
            _LOG.exception("switches are not watched")
        await asyncio.sleep(max(0.05, started + seconds - time.monotonic()))
