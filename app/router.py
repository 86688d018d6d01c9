"""Every command to the one gateway that owns its account, whichever gateway was asked."""

from __future__ import annotations

import logging
import time
from collections.abc import Awaitable, Callable
from typing import Any, Final

import msgspec

from app.directory import Directory
from app.errors import ExecutionUnavailable, Unknown, VelozError
from app.metrics_core import CoreMetrics
from app.peers import NotTaken, Peers
from app.placement import Peer
from app.requests import Request
from app.ring import Signal
from app.tenure import NotHere

log = logging.getLogger(__name__)

MOST_ASKED: Final = 2  # owners that are asked: the first, and once the one that became it meanwhile
LEAST_SECONDS: Final = 0.1  # with less time left nothing is begun
AGAIN_SECONDS: Final = 0.3  # a peer that has the account and not its engine, which was killed, has it again about then


class _Asked(msgspec.Struct, frozen=True):
    """A peer that did not take the request, under the epoch that it was asked for."""

    owner: str
    epoch: int


class Router:
    """Carries commands out here or there. `here` raises NotHere when the account is not in this gateway's engine.

    `moved` is woken when an account came or went here.
    """

    def __init__(
        self,
        me: str,
        directory: Directory,
        peers: Peers,
        metrics: CoreMetrics,
        here: Callable[[Request, float], Awaitable[Any]],
        moved: Signal,
    ) -> None:
        self._me = me
        self._directory = directory
        self._peers = peers
        self._metrics = metrics
        self._here = here
        self._signals = (directory.signal, moved)

    async def run(self, request: Request, deadline: float) -> Any:  # noqa: ANN401 - ANSWERS[type(request)]
        """The answer by `deadline` (monotonic). An account that is on its way from one gateway to another is waited for.

        Raises what refuses the request; ExecutionUnavailable when nobody took it, Unknown when somebody may have.
        """
        asked: dict[_Asked, float] = {}  # until when not to ask again
        why = "no gateway owns the account"
        while True:
            try:
                return await self._here(request, deadline)
            except NotHere:
                pass
            owner = self._directory.owner(request.account)
            if owner is not None and owner[0].owner != self._me:
                peer, epoch = owner
                to_ask = _Asked(peer.owner, epoch)
                if time.monotonic() >= asked.get(to_ask, 0.0):
                    try:
                        return await self._there(peer, request, deadline)
                    except NotTaken as error:
                        why = str(error)
                        asked[to_ask] = time.monotonic() + AGAIN_SECONDS
                        self._directory.look_again()
            left = deadline - time.monotonic()
            if len(asked) >= MOST_ASKED or left < LEAST_SECONDS:
                raise ExecutionUnavailable(f"orders of this account cannot be taken now; {why}")
            await Signal.wait_any(self._signals, left - LEAST_SECONDS)

    async def _there(self, peer: Peer, request: Request, deadline: float) -> Any:  # noqa: ANN401
        outcome = "answered"
        try:
            return await self._peers.ask(peer, request, deadline)
        except NotTaken:
            outcome = "not_taken"
            raise
        except Unknown:
            outcome = "unknown"
            raise
        except VelozError:
            outcome = "refused"
            raise
        finally:
            self._metrics.forwarded.labels(outcome).inc()
