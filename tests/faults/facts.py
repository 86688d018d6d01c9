"""Everything that is known after a run: the ledger, the database's tables, the streams."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec
import psycopg
from psycopg.rows import dict_row

from tests.faults.ledger import Call, exact, read
from tests.faults.stream import Event, Follower

Row = dict[str, Any]

_HEAD = "SELECT seq, trades, chain, shard, epoch FROM accounts JOIN shards USING (shard) WHERE account = %s"
_LOG = """SELECT xid::text::bigint AS xid, seq, epoch, type, client_order_id, payload::text AS text
FROM order_wal WHERE account = %s ORDER BY seq"""


class LogRow(msgspec.Struct, frozen=True):
    """One row of `order_wal`; `text` is the payload as stored, `xid` the number of the transaction that wrote it."""

    xid: int
    seq: int
    epoch: int
    type: str
    client_order_id: str | None
    text: str
    payload: dict[str, Any]


class Followed(msgspec.Struct, frozen=True):
    """What one client of the stream saw, from after `start`."""

    start: int
    events: Sequence[Event]


class Digest(msgspec.Struct, frozen=True):
    """What an engine said its state was after the account's event `seq`: a SHA-256 in hexadecimal."""

    account: str
    seq: int
    digest: str


class Facts(msgspec.Struct, frozen=True, kw_only=True):
    """One account's evidence. Tables are rows by column; orders by their id, balances by asset, positions by symbol.

    `epoch` is its shard's at the end. `seen_by_admin`: the account's events on a stream of all accounts that was there before
    the account was; None when nobody followed.
    """

    account: str
    calls: Sequence[Call]
    shard: int
    epoch: int
    head: int
    trades: int
    chain: bytes
    log: Sequence[LogRow]
    orders: dict[str, Row]
    fills: Sequence[Row]
    balances: dict[str, Row]
    positions: dict[str, Row]
    streams: Sequence[Followed] = ()
    digests: Sequence[Digest] = ()
    seen_by_admin: Sequence[Event] | None = None


def gather(
    connection: psycopg.Connection[Any],
    ledgers: Sequence[Path] = (),
    streams: Sequence[Follower] = (),
    account: str = "main",
) -> Facts:
    """Read the tables; nothing may be writing them. Decimals are exact; numbers in payloads are as written."""
    tables = {}
    with connection.transaction(), connection.cursor(row_factory=dict_row) as cursor:
        head = cursor.execute(_HEAD, (account,)).fetchone() or {}
        log = cursor.execute(_LOG, (account,)).fetchall()
        for table, order in (
            ("orders", "created_seq"),
            ("fills", "trade_id"),
            ("balances", "asset"),
            ("positions", "symbol"),
        ):
            tables[table] = cursor.execute(
                f"SELECT * FROM {table} WHERE account = %s ORDER BY {order}",  # noqa: S608 - names from the line above
                (account,),
            ).fetchall()
    return Facts(
        account=account,
        calls=[call for path in ledgers for call in read(path)],
        shard=head.get("shard", -1),
        epoch=head.get("epoch", 0),
        head=head.get("seq", 0),
        trades=head.get("trades", 0),
        chain=bytes(head.get("chain", b"")),
        log=[LogRow(**row, payload=exact(row["text"])) for row in log],
        orders={row["client_order_id"]: row for row in tables["orders"]},
        fills=tables["fills"],
        balances={row["asset"]: row for row in tables["balances"]},
        positions={row["symbol"]: row for row in tables["positions"]},
        streams=[Followed(follower.start, list(follower.events)) for follower in streams],
    )


def decimal(value: object) -> Decimal:
    """A number of a payload, a table or a request, to compare."""
    return value if isinstance(value, Decimal) else Decimal(str(value))
