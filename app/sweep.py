"""One thing done for every account, wherever it is, and a report of each: an admin's emergency commands."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Sequence
from typing import Final

import msgspec

from app.commands import Answer
from app.errors import BadParams, VelozError

AT_ONCE: Final = 32


class Report(msgspec.Struct, frozen=True):
    """What became of one account; `detail` says why it is not known that it was done."""

    account: str
    ok: bool
    detail: str = ""
    answers: list[Answer] = []


async def over_accounts(accounts: Sequence[str], action: Callable[[str], Awaitable[Report]]) -> list[Report]:
    """The action for each account, some at a time; an account that refuses does not keep the others from it."""
    slots = asyncio.Semaphore(AT_ONCE)

    async def one(account: str) -> Report:
        async with slots:
            try:
                return await action(account)
            except BadParams:
                raise  # wrong for every account
            except VelozError as error:
                return Report(account, ok=False, detail=error.message)

    return list(await asyncio.gather(*map(one, accounts)))
