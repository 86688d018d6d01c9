"""The order path: the only door from handlers to engine, log and markets."""

from __future__ import annotations

from collections.abc import Mapping

import msgspec
from psycopg import AsyncConnection
from psycopg.rows import TupleRow
from psycopg_pool import AsyncConnectionPool

from app.commands import Amend, Answer, Cancel, CancelAll, NewOrder
from app.exchange_config import ExchangeConfig
from app.feeds import Feed
from app.hub import EventHub
from app.limits import Limits
from app.market_view import MarketView
from app.metrics_core import CoreMetrics


class Component(msgspec.Struct, frozen=True):
    """One part's health; `detail` says in words what is wrong, or what it is doing."""

    ok: bool
    detail: str = ""


class Exchange:
    """One gateway's order path. Every command raises ExecutionUnavailable at once while it cannot be carried out.

    What may or may not have happened raises Unknown: the same command again tells.
    """

    markets: dict[str, MarketView]
    hub: EventHub
    pool: AsyncConnectionPool[AsyncConnection[TupleRow]]

    @classmethod
    def create(cls, config: ExchangeConfig, feed: Feed | None, metrics: CoreMetrics) -> Exchange:
        raise NotImplementedError

    async def start(self) -> None:
        """Claim the shards, recover, start the feed; the schema is already migrated.

        Returns after the first attempt. When that failed in a way that may pass (database away, recovery mismatch), it goes on
        trying in the background and `components` says what is wrong. Raises StartRefused for what only an operator can mend.
        """
        raise NotImplementedError

    async def drain(self, timeout: float) -> None:
        """Refuse new commands, finish those in flight within `timeout` seconds, write checkpoints, release the shards."""
        raise NotImplementedError

    async def close(self) -> None:
        """End everything; after `drain`, or without it for a quick end."""
        raise NotImplementedError

    @property
    def ready(self) -> bool:
        """Whether commands are taken now."""
        raise NotImplementedError

    def retry(self) -> None:
        """Try to recover at once instead of waiting for the next attempt."""
        raise NotImplementedError

    async def submit(self, order: NewOrder, *, key_id: str | None) -> Answer:
        """Carry an order out once for ever; the same order again gets its first answer.

        Raises Conflict (id taken by another order), RiskRejected, BadParams (the engine refuses it), NotFound (account).
        """
        raise NotImplementedError

    async def cancel(self, command: Cancel) -> Answer:
        """Cancel an open order. One already cancelled with the same reason is answered again.

        Raises NotFound (no such order), Conflict (closed otherwise; the message names its status).
        """
        raise NotImplementedError

    async def amend(self, command: Amend) -> Answer:
        """Change an open order; what it already has is answered again.

        Raises NotFound, Conflict (closed), RiskRejected, BadParams.
        """
        raise NotImplementedError

    async def cancel_all(self, command: CancelAll) -> list[Answer]:
        """Cancel the account's open orders, in rank order."""
        raise NotImplementedError

    async def open_account(self, account: str, balances: Mapping[str, int], limits: Limits) -> None:
        """Open an account with starting balances; Conflict when it exists."""
        raise NotImplementedError

    async def set_limits(self, account: str, changes: Mapping[str, int]) -> Limits:
        """Change limits durably, then in the engine; returns all of them. NotFound, BadParams."""
        raise NotImplementedError

    async def set_kill(self, account: str | None, *, on: bool) -> None:
        """Turn the kill switch of an account, or with None the global one; survives restarts. NotFound."""
        raise NotImplementedError

    def limits(self, account: str) -> Limits:
        """The account's limits in force; NotFound."""
        raise NotImplementedError

    @property
    def killed(self) -> bool:
        """The global kill switch."""
        raise NotImplementedError

    def accounts(self) -> list[str]:
        """The accounts of this gateway, sorted."""
        raise NotImplementedError

    async def ping(self) -> float:
        """Seconds of a round trip through the engine."""
        raise NotImplementedError

    def components(self) -> dict[str, Component]:
        """Health of engine, database, leases, market_data, recovery and clock."""
        raise NotImplementedError
