"""Accounts: opening them, their limits, the kill switch. What is changed here is durable before the engine hears of it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from typing import Final

import msgspec
import psycopg
from psycopg_pool import PoolTimeout

from app.database import Connection, Pool, confirmed, cut_after
from app.errors import BadParams, Conflict, ExecutionUnavailable, NotFound, Unknown
from app.fencing import shard_of, tell
from app.limits import Limits
from app.money import MAX_UNITS, format_units
from app.tables import GLOBAL_KILL
from app.tenure import Tenure
from app.wal_rows import FENCE, Opening
from app.wire import limits_line, token

WRITE_SECONDS: Final = 1.0

_LIMITS = b"UPDATE accounts SET limits = %s::jsonb WHERE account = %s"
_KILL = b"UPDATE accounts SET kill = %s WHERE account = %s"
_READ = b"SELECT limits, kill FROM accounts WHERE account = %s"
_GLOBAL_KILL = b"""INSERT INTO config (name, value) VALUES (%s, to_jsonb(%s::boolean))
ON CONFLICT (name) DO UPDATE SET value = excluded.value, changed_at = now()"""


class Accounts:
    """Changes of accounts, one at a time."""

    def __init__(self, pool: Pool) -> None:
        self._pool = pool
        self._turn = asyncio.Lock()

    async def open(self, tenure: Tenure, account: str, balances: Mapping[str, int], limits: Limits) -> None:
        async with self._turn:
            await open_account(tenure, account, balances, limits)

    async def set_limits(self, tenure: Tenure, account: str, changes: Mapping[str, int]) -> Limits:
        async with self._turn:
            after = _limits_of(tenure, account).changed(changes)
            texts = msgspec.json.encode(after.texts()).decode()
            await self._write(tenure, account, _LIMITS, (texts, account))
            await self._tell(tenure, account, after)
            return after

    async def set_kill(self, tenure: Tenure, account: str, *, on: bool) -> None:
        async with self._turn:
            after = msgspec.structs.replace(_limits_of(tenure, account), kill=on)
            await self._write(tenure, account, _KILL, (on, account))
            await self._tell(tenure, account, after)

    async def _tell(self, tenure: Tenure, account: str, limits: Limits) -> None:
        tenure.limits[account] = limits
        outcome = await tenure.request([f"{limits_line(account, limits)} ts={time.time_ns()}"])
        if error := outcome.batch.error():
            tenure.abandon(f"the engine refuses limits that are stored: {error[1]}")

    async def _write(self, tenure: Tenure, account: str, query: bytes, values: tuple[object, ...]) -> None:
        """In one transaction with the fence; when its outcome is not known the tenure ends, and recovery reads what is."""
        owner, shards, epochs = tenure.held(account)
        try:
            async with self._pool.connection() as connection:
                with cut_after(connection, WRITE_SECONDS), confirmed(connection):
                    async with connection.pipeline(), connection.transaction():
                        await connection.execute(FENCE, (owner, shards, epochs))
                        await connection.execute(query, values)
        except PoolTimeout as error:
            raise ExecutionUnavailable("the database does not answer") from error
        except psycopg.Error as error:
            tenure.abandon(f"a change of limits may or may not be stored: {error}")
            raise Unknown("whether the change is stored is not known; ask again") from error


async def open_account(tenure: Tenure, account: str, balances: Mapping[str, int], limits: Limits) -> None:
    """Open it in engine and log, as one batch. Conflict when it is there; BadParams."""
    if token("account", account) in tenure.limits:
        raise Conflict(f"account {account} is there already")
    for asset, units in balances.items():
        if not 0 <= units <= MAX_UNITS:
            raise BadParams(
                f"balance of {token('asset', asset)} is {format_units(units)}; it must be from 0 to {format_units(MAX_UNITS)}"
            )
    lines = [f"ACCOUNT {account}", limits_line(account, limits)]
    lines += [
        f"DEPOSIT {token('asset', asset)} {format_units(units)} acct={account}"
        for asset, units in sorted(balances.items())
        if units
    ]
    opening = Opening(account, shard_of(account), limits.texts(), limits.kill)
    now = time.time_ns()
    await tenure.request([f"{line} ts={now}" for line in lines], opening=opening)
    tenure.limits[account] = limits


async def store_global_kill(connection: Connection, *, on: bool) -> None:
    """Turn the global kill switch for every gateway, present and future; their directories see it."""
    with confirmed(connection):
        async with connection.transaction():
            await connection.execute(_GLOBAL_KILL, (GLOBAL_KILL, on))
            await tell(connection)


async def read_limits(connection: Connection, account: str) -> Limits:
    """The account's limits as committed. NotFound."""
    row = await (await connection.execute(_READ, (account,))).fetchone()
    if row is None:
        raise NotFound(f"there is no account {account}")
    return Limits.from_texts(row[0], kill=row[1])


def _limits_of(tenure: Tenure, account: str) -> Limits:
    found = tenure.limits.get(account)
    if found is None:
        raise NotFound(f"there is no account {account}")
    return found
