"""The open orders that one key placed on an account, and cancelling them."""

from __future__ import annotations

import time
from typing import Final

from app.borrow import borrowed
from app.commands import Cancel, Status
from app.database import Pool
from app.tenure import Tenure
from app.wire import answer_of, cancel_line

_AT_ONCE: Final = 1000
_OPEN: Final = b"""SELECT client_order_id FROM orders
WHERE account = %s AND key_id IS NOT DISTINCT FROM %s AND status IN ('ACCEPTED', 'PARTIALLY_FILLED') ORDER BY rank"""


async def cancel_of_key(pool: Pool, tenure: Tenure, account: str, key_id: str | None, reason: str) -> int:
    """Cancel them, in rank order; returns how many. None: the orders of nobody's key. TenureLost, one of DATABASE_AWAY."""
    await tenure.request(["PING ts=0"])  # then what the engine decided before is committed, and can be read
    async with borrowed(pool) as connection:
        rows = await (await connection.execute(_OPEN, (account, key_id))).fetchall()
    lines = [cancel_line(Cancel(account=account, client_order_id=row[0], reason=reason)) for row in rows]
    cancelled = 0
    for first in range(0, len(lines), _AT_ONCE):
        now = time.time_ns()
        outcome = await tenure.request([f"{line} ts={now}" for line in lines[first : first + _AT_ONCE]])
        states = [answer_of(entry.payload, 0) for entry in outcome.entries if entry.type == "order_state"]
        cancelled += sum(state.status == Status.CANCELLED and state.reason == reason for state in states)
    return cancelled
