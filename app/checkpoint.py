"""Checkpoints: states that were found right, so that the next fold need not begin at the first event."""

from __future__ import annotations

import hashlib
import logging

import msgspec

from app.database import Connection
from app.fold import Order, Position, State
from app.tables import rows

log = logging.getLogger(__name__)

KEPT = 2

_READ = b"""SELECT seq, chain, state, digest FROM checkpoints WHERE account = %s AND seq <= %s ORDER BY seq DESC"""
_WRITE = b"""INSERT INTO checkpoints (account, seq, chain, state, digest) VALUES (%s, %s, %s, %s, %s)
ON CONFLICT (account, seq) DO UPDATE SET chain = excluded.chain, state = excluded.state, digest = excluded.digest"""
_DROP = b"""DELETE FROM checkpoints WHERE account = %s AND seq NOT IN
(SELECT seq FROM checkpoints WHERE account = %s ORDER BY seq DESC LIMIT %s)"""


class Checkpoint(msgspec.Struct, frozen=True):
    """An account's state after its event `seq`, and the log's chain up to there."""

    seq: int
    chain: bytes
    state: State


def beginning(account: str) -> Checkpoint:
    return Checkpoint(0, bytes(32), State(account))


async def good_checkpoints(connection: Connection, account: str, head: int) -> list[Checkpoint]:
    """Those whose digest is right, the newest first; a damaged one is reported and passed over."""
    found = []
    for seq, chain, text, digest in await rows(connection, _READ, account, head):
        if _digest(text, bytes(chain)) == bytes(digest):
            found.append(Checkpoint(seq, bytes(chain), read_state(text)))
        else:
            log.error("the checkpoint of %s at %d is damaged; an earlier one serves", account, seq)
    return found


async def read_checkpoint(connection: Connection, account: str, head: int) -> Checkpoint:
    """The newest good one, or the log's beginning."""
    return next(iter(await good_checkpoints(connection, account, head)), beginning(account))


async def first_checkpoint(connection: Connection, account: str, head: int, pruned: int) -> Checkpoint:
    """The oldest place that a fold can begin at: the log's beginning, or when that was pruned the oldest good one behind it."""
    points = await good_checkpoints(connection, account, head) if pruned else []
    return next((point for point in reversed(points) if point.seq >= pruned), beginning(account))


async def write_checkpoint(connection: Connection, point: Checkpoint) -> None:
    """Store it, and drop all but the newest."""
    account, text = point.state.account, write_state(point.state)
    await connection.execute(_WRITE, (account, point.seq, point.chain, text, _digest(text, point.chain)))
    await connection.execute(_DROP, (account, account, KEPT))


def write_state(state: State) -> str:
    """The canonical text, and the ranks, which it leaves out."""
    ranks = [f"rank {order.client_order_id} {order.rank}\n" for order in state.ranked()]
    return state.canonical() + "".join(ranks)


def read_state(text: str) -> State:
    """The inverse of `write_state`."""
    lines = [line.split(" ") for line in text.splitlines()]
    state = State(lines[1][1], int(lines[2][1]))
    for kind, name, *words in lines[3:]:
        match kind:
            case "balance":
                state.totals[name] = int(words[0])
            case "position":
                state.positions[name] = Position(*map(int, words))
            case "order":
                state.orders[name] = _order(name, words)
            case "rank":
                state.orders[name].rank = int(words[0])
    return state


def _order(name: str, words: list[str]) -> Order:
    symbol, side, order_type, tif, qty, price, stop, expire, executed, notional, triggered, status, stp = words
    return Order(
        client_order_id=name,
        symbol=symbol,
        side=side,
        order_type=order_type,
        tif=tif,
        stp=stp,
        qty=int(qty),
        price=int(price),
        stop_price=int(stop),
        expire_ts_ns=int(expire),
        status=status,
        triggered=triggered == "1",
        rank=0,
        executed=int(executed),
        notional=int(notional),
    )


def _digest(text: str, chain: bytes) -> bytes:
    return hashlib.sha256(chain + text.encode()).digest()
