"""A group of batches as the rows of one transaction.

Rows travel as JSON and PostgreSQL reads the amounts out of the engine's own text, so no amount is converted on the way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TypeAlias

import msgspec

from app.hub import LogEntry
from app.wire import Event

Statement: TypeAlias = tuple[bytes, tuple[object, ...]]


class Head(msgspec.Struct, frozen=True):
    """The end of one account's log: the last `seq`, the chain up to it, and the number of fills."""

    shard: int
    seq: int = 0
    chain: bytes = bytes(32)
    trades: int = 0


class Opening(msgspec.Struct, frozen=True):
    """A new account's row; `limits` as Limits.texts gives them."""

    account: str
    shard: int
    limits: dict[str, str]
    kill: bool = False


class FirstAnswer(msgspec.Struct, frozen=True):
    """What is kept for ever of a new order beside its state: how it was asked, and answered."""

    client_order_id: str
    digest: bytes
    answer: bytes
    status: int
    key_id: str | None


class Append(msgspec.Struct):
    """One batch on its way into the log; `heads` are those of its accounts after it."""

    entries: list[LogEntry]
    others: list[Event]
    heads: dict[str, Head]
    settle: Callable[[Append], None]
    first: FirstAnswer | None
    opening: Opening | None


FENCE = b"SELECT veloz_fence(%s, %s::smallint[], %s::bigint[])::text::bigint"

OPEN_ACCOUNTS = b"""
INSERT INTO accounts (account, shard, chain, limits, kill)
SELECT account, shard, decode(repeat('00', 32), 'hex'), limits, kill
FROM json_to_recordset(%s::json) AS r(account text, shard smallint, limits jsonb, kill boolean)"""

ADVANCE = b"""
WITH changed AS (
    UPDATE accounts a SET seq = r.seq, chain = decode(r.chain, 'hex'), trades = r.trades
    FROM json_to_recordset(%s::json) AS r(account text, after bigint, seq bigint, chain text, trades bigint)
    WHERE a.account = r.account AND a.seq = r.after RETURNING 1)
SELECT veloz_expect(count(*), %s, 'accounts whose log ends where it should') FROM changed"""

LOG = b"""
INSERT INTO order_wal (account, seq, epoch, ts_ns, type, client_order_id, payload)
SELECT a, s, e, n, t, c, p
FROM json_to_recordset(%s::json) AS r(a text, s bigint, e bigint, n bigint, t text, c text, p json)"""

_STATE = b"""json_to_record(r.state) AS s(
    account text, client_order_id text, symbol text, side text, order_qty numeric, limit_price numeric,
    stop_price numeric, expire_ts_ns bigint, venue_order_id text, status text, reason text, executed_qty numeric,
    executed_notional numeric, order_type text, tif text, stp text, triggered boolean, rank bigint,
    created_ts_ns bigint, last_ts_ns bigint)"""

NEW_ORDERS = (
    b"""
INSERT INTO orders (account, client_order_id, digest, answer, answer_status, key_id, symbol, side, order_type, tif, stp,
    qty, price, stop_price, expire_ts_ns, status, reason, executed_qty, executed_notional, triggered, rank,
    venue_order_id, created_ts_ns, last_ts_ns, created_seq, last_seq)
SELECT s.account, s.client_order_id, decode(r.digest, 'hex'), r.answer, r.answer_status, r.key_id, s.symbol, s.side,
    s.order_type, s.tif, s.stp, s.order_qty, s.limit_price, s.stop_price, s.expire_ts_ns, s.status, s.reason,
    s.executed_qty, s.executed_notional, s.triggered, s.rank, s.venue_order_id, s.created_ts_ns, s.last_ts_ns,
    r.created_seq, r.last_seq
FROM json_to_recordset(%s::json) AS r(digest text, answer json, answer_status smallint, key_id text,
    created_seq bigint, last_seq bigint, state json), """
    + _STATE
)

CHANGED_ORDERS = (
    b"""
WITH changed AS (
    UPDATE orders o SET qty = s.order_qty, price = s.limit_price, stop_price = s.stop_price, status = s.status,
        reason = s.reason, executed_qty = s.executed_qty, executed_notional = s.executed_notional,
        triggered = s.triggered, rank = s.rank, venue_order_id = s.venue_order_id, last_ts_ns = s.last_ts_ns,
        last_seq = r.last_seq
    FROM json_to_recordset(%s::json) AS r(last_seq bigint, state json), """
    + _STATE
    + b"""
    WHERE o.account = s.account AND o.client_order_id = s.client_order_id RETURNING 1)
SELECT veloz_expect(count(*), %s, 'orders changed') FROM changed"""
)

FILLS = b"""
INSERT INTO fills (account, trade_id, seq, client_order_id, symbol, side, qty, price, fee, fee_asset, liquidity, ts_ns)
SELECT f.account, f.trade_id, r.seq, f.client_order_id, f.symbol, f.side, f.qty, f.price, f.fee, f.fee_asset,
    f.liquidity, f.ts_ns
FROM json_to_recordset(%s::json) AS r(seq bigint, fill json), json_to_record(r.fill) AS f(account text, trade_id bigint,
    client_order_id text, symbol text, side text, qty numeric, price numeric, fee numeric, fee_asset text,
    liquidity text, ts_ns bigint)"""

BALANCES = b"""
WITH r AS (SELECT * FROM json_to_recordset(%s::json) AS r(account text, balances json)), gone AS (
    DELETE FROM balances b USING r WHERE b.account = r.account
        AND NOT EXISTS (SELECT FROM json_to_recordset(r.balances) AS x(asset text) WHERE x.asset = b.asset))
INSERT INTO balances AS b (account, asset, free, locked)
SELECT r.account, x.asset, x.free, x.locked
FROM r, json_to_recordset(r.balances) AS x(asset text, free numeric, locked numeric)
ON CONFLICT (account, asset) DO UPDATE SET free = excluded.free, locked = excluded.locked
WHERE (b.free, b.locked) IS DISTINCT FROM (excluded.free, excluded.locked)"""

POSITIONS = b"""
WITH r AS (SELECT * FROM json_to_recordset(%s::json) AS r(account text, positions json)), gone AS (
    DELETE FROM positions b USING r WHERE b.account = r.account
        AND NOT EXISTS (SELECT FROM json_to_recordset(r.positions) AS x(symbol text) WHERE x.symbol = b.symbol))
INSERT INTO positions AS b (account, symbol, qty, cost, avg_price, realised, day, day_realised)
SELECT r.account, x.symbol, x.qty, x.cost, x.avg_price, x.realised, x.day, x.day_realised
FROM r, json_to_recordset(r.positions) AS x(symbol text, qty numeric, cost numeric, avg_price numeric,
    realised numeric, day bigint, day_realised numeric)
ON CONFLICT (account, symbol) DO UPDATE SET qty = excluded.qty, cost = excluded.cost, avg_price = excluded.avg_price,
    realised = excluded.realised, day = excluded.day, day_realised = excluded.day_realised
WHERE (b.qty, b.cost, b.avg_price, b.realised, b.day, b.day_realised)
    IS DISTINCT FROM (excluded.qty, excluded.cost, excluded.avg_price, excluded.realised, excluded.day,
        excluded.day_realised)"""


class Rows:
    """What one transaction writes: of every order and account only what it is after the group."""

    def __init__(self, owner: str, epochs: Mapping[int, int], group: Sequence[Append]) -> None:
        self._owner = owner
        self._epochs = epochs
        self._heads: dict[str, Head] = {}
        self._after: dict[str, int] = {}
        self._openings: list[Opening] = []
        self._log: list[str] = []
        self._fills: list[str] = []
        self._firsts: dict[tuple[str, str], tuple[FirstAnswer, int]] = {}
        self._states: dict[tuple[str, str], tuple[int, bytes]] = {}
        self._accounts: dict[str, bytes] = {}
        for append in group:
            self._add(append)

    def statements(self) -> Iterator[Statement]:
        """The transaction, the fence first."""
        shards = sorted({head.shard for head in self._heads.values()})
        yield FENCE, (self._owner, shards, [self._epochs[shard] for shard in shards])
        if self._openings:
            yield OPEN_ACCOUNTS, (msgspec.json.encode(self._openings).decode(),)
        yield ADVANCE, (_array(self._advances()), len(self._heads))
        yield LOG, (_array(self._log),)
        if self._firsts:
            yield NEW_ORDERS, (_array(self._new_orders()),)
        changed = [
            f'{{"last_seq":{seq},"state":{state.decode()}}}'
            for key, (seq, state) in self._states.items()
            if key not in self._firsts
        ]
        if changed:
            yield CHANGED_ORDERS, (_array(changed), len(changed))
        accounts = _array([payload.decode() for payload in self._accounts.values()])
        if self._accounts:
            yield BALANCES, (accounts,)
        if self._fills:  # nothing else changes a position
            yield FILLS, (_array(self._fills),)
            yield POSITIONS, (accounts,)

    def _add(self, append: Append) -> None:
        if append.opening is not None:
            self._openings.append(append.opening)
        self._heads.update(append.heads)
        for entry in append.entries:
            self._after.setdefault(entry.account, entry.seq - 1)
            payload = entry.payload.decode()
            order = "null" if entry.client_order_id is None else f'"{entry.client_order_id}"'
            epoch = self._epochs[self._heads[entry.account].shard]
            self._log.append(
                f'{{"a":"{entry.account}","s":{entry.seq},"e":{epoch},"n":{entry.ts_ns},'
                f'"t":"{entry.type}","c":{order},"p":{payload}}}'
            )
            if entry.type == "fill":
                self._fills.append(f'{{"seq":{entry.seq},"fill":{payload}}}')
            elif entry.type == "account":
                self._accounts[entry.account] = entry.payload
            elif entry.type == "order_state" and entry.client_order_id is not None:
                key = (entry.account, entry.client_order_id)
                self._states[key] = (append.heads[entry.account].seq, entry.payload)
                if append.first is not None and append.first.client_order_id == entry.client_order_id:
                    self._firsts[key] = (append.first, append.heads[entry.account].seq)

    def _advances(self) -> Iterator[str]:
        for account, head in self._heads.items():
            yield (
                f'{{"account":"{account}","after":{self._after.get(account, head.seq)},"seq":{head.seq},'
                f'"chain":"{head.chain.hex()}","trades":{head.trades}}}'
            )

    def _new_orders(self) -> Iterator[str]:
        for key, (first, created) in self._firsts.items():
            last, state = self._states[key]
            key_id = msgspec.json.encode(first.key_id).decode()
            yield (
                f'{{"digest":"{first.digest.hex()}","answer":{first.answer.decode()},"answer_status":{first.status},'
                f'"key_id":{key_id},"created_seq":{created},"last_seq":{last},"state":{state.decode()}}}'
            )


def _array(items: Iterator[str] | Sequence[str]) -> str:
    return "[" + ",".join(items) + "]"
