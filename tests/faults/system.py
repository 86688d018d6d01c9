"""Several gateways as the tests reach them, wherever they run: asking any, accounts, who owns what."""

from __future__ import annotations

import secrets
from abc import ABC, abstractmethod
from typing import Any

import aiohttp
import psycopg

from tests.faults.waiting import until

_SHOWN = 200  # of an answer, in a failure
BALANCES = {"USDT": "10000000000", "BTC": "100000"}


class System(ABC):
    """`database`: a DSN; `url`: the balancer's, or the first gateway's without one; `headers`: an admin's."""

    database: str

    @property
    @abstractmethod
    def url(self) -> str: ...

    @property
    @abstractmethod
    def headers(self) -> dict[str, str]: ...

    @abstractmethod
    def urls(self) -> list[str]:
        """Each gateway's own."""

    @abstractmethod
    async def start(self) -> None:
        """Wait until all gateways are ready and every shard is where it is to be; start those that do not run."""

    def shards(self) -> dict[int, tuple[str | None, int]]:
        """Shard → owner and epoch, as the database has it."""
        with psycopg.connect(self.database) as connection:
            return {row[0]: (row[1], row[2]) for row in connection.execute("SELECT shard, owner, epoch FROM shards")}

    async def shard_of(self, accounts: list[str]) -> dict[str, int]:
        async with await psycopg.AsyncConnection.connect(self.database) as connection:
            cursor = await connection.execute(
                "SELECT account, shard FROM accounts WHERE account = ANY(%s)", (accounts,)
            )
            return dict(await cursor.fetchall())

    async def ask(self, method: str, path: str, body: object = None, *, seconds: float = 30) -> dict[str, Any]:
        """An admin's request to any gateway until one gives a good answer. Raises TimeoutError with the last that was not."""
        answers: list[dict[str, Any]] = []
        last = ""
        timeout = aiohttp.ClientTimeout(total=5)
        async with aiohttp.ClientSession(headers=self.headers, timeout=timeout) as session:

            async def good() -> bool:
                nonlocal last
                url = secrets.choice(self.urls())
                try:
                    async with session.request(method, url + path, json=body) as answer:
                        if answer.status in {200, 201}:
                            answers.append(await answer.json())
                        else:
                            last = f"{answer.status} {(await answer.text())[:_SHOWN]}"
                        return bool(answers)
                except (aiohttp.ClientError, TimeoutError) as error:
                    last = repr(error)
                    return False

            try:
                await until(good, seconds=seconds, every=0.05)
            except TimeoutError as error:
                raise TimeoutError(f"{method} {path}: {error}; at last {last or 'no answer'}") from None
        return answers[0]

    async def open_account(self, account: str) -> dict[str, str]:
        """Open an account with deep pockets; returns the headers of a trader's key for it."""
        known = await self.shard_of([account])
        if not known:
            await self.ask("POST", "/api/admin/accounts", {"account": account, "balances": BALANCES})
        made = await self.ask("POST", "/api/auth/keys", {"role": "trader", "account": account})
        return {"X-API-Key": made["api_key"]}
