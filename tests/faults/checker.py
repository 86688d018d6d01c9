"""Finds what was lost, doubled, skipped or made up: the ledger against the tables, the log and the streams. Pure."""

from __future__ import annotations

import hashlib
import itertools
from collections import Counter, defaultdict
from collections.abc import Iterator
from decimal import Decimal

import msgspec

from tests.faults.facts import Facts, LogRow, Row, decimal
from tests.faults.folded import fold_tables
from tests.faults.ledger import Body, Call

SHOWN = 12


class Violation(msgspec.Struct, frozen=True):
    """A promise that was broken: its kind, and the evidence in words."""

    kind: str
    detail: str


def check(facts: Facts) -> list[Violation]:
    """Every violation found; none means that nothing was lost, doubled, skipped or made up."""
    checks = (_acknowledged, _contents, _cancelled, _doubled, _answers, _made_up, _log, _fills, _tables, _streams)
    return [violation for one in checks for violation in one(facts)]


def report(violations: list[Violation]) -> str:
    """How many, and the first few in full."""
    return "\n".join([f"{len(violations)} violations", *(f"{v.kind}: {v.detail}"[:1000] for v in violations[:SHOWN])])


def _submits(facts: Facts) -> Iterator[Call]:
    return (call for call in facts.calls if call.path == "/api/order")


def _accepted(call: Call) -> bool:
    return call.status == 200


def _rejected(call: Call) -> bool:
    return call.status == 422


def _acknowledged(facts: Facts) -> Iterator[Violation]:
    """An order that was answered is there, as it was asked for, and was in the log by the answer's `seq`."""
    for call in _submits(facts):
        if not (_accepted(call) or _rejected(call)):
            continue
        row = facts.orders.get(call.order_id)
        if row is None:
            yield Violation("lost", f"{call.order_id}: answered {call.status}, not in orders")
        elif _rejected(call) != (row["status"] == "REJECTED"):
            yield Violation(
                "rejected", f"{call.order_id}: answered {call.status} {call.answer}, stored {row['status']}"
            )
        elif not row["created_seq"] <= int(call.answer.get("seq", 0)) <= facts.head:
            yield Violation("lost", f"{call.order_id}: answered seq {call.answer.get('seq')}, log ends at {facts.head}")


def _contents(facts: Facts) -> Iterator[Violation]:
    """What was acknowledged is what the log took; who sent one content only was not told of another."""
    sent: dict[str, set[str]] = defaultdict(set)
    for call in _submits(facts):
        sent[call.order_id].add(str(sorted(call.body.items())))
    taken = {str(row.client_order_id): row.payload for row in facts.log if _takes(row)}
    for call in _submits(facts):
        event = taken.get(call.order_id)
        if event is None:
            continue
        if (_accepted(call) or _rejected(call)) and not _same_content(call.body, event):
            yield Violation("content", f"{call.order_id}: asked {call.body}, taken {event}")
        elif call.status == 409 and len(sent[call.order_id]) == 1:
            yield Violation("conflict", f"{call.order_id}: the same order was refused as another")


def _cancelled(facts: Facts) -> Iterator[Violation]:
    for call in facts.calls:
        if call.path != "/api/cancel" or call.status not in {200, 404}:
            continue
        row = facts.orders.get(call.order_id)
        if call.status == 200 and (row is None or row["status"] != "CANCELLED"):
            yield Violation("lost", f"{call.order_id}: cancel answered 200, stored {row and row['status']}")


def _doubled(facts: Facts) -> Iterator[Violation]:
    """The log takes every id once, and never fills more than was asked for."""
    taken = Counter(row.client_order_id for row in facts.log if _takes(row))
    for order_id, count in taken.items():
        if count > 1:
            yield Violation("doubled", f"{order_id}: taken {count} times in the log")
    for order_id in taken.keys() ^ facts.orders.keys():
        where = "orders" if order_id in facts.orders else "the log"
        yield Violation("unequal", f"{order_id}: only in {where}")
    filled: dict[str, Decimal] = defaultdict(Decimal)
    for event in facts.log:
        if event.type == "fill":
            filled[str(event.client_order_id)] += decimal(event.payload["qty"])
    for order_id, qty in filled.items():
        if order_id in facts.orders and qty > facts.orders[order_id]["qty"]:
            yield Violation("doubled", f"{order_id}: filled {qty} of {facts.orders[order_id]['qty']}")


def _takes(row: LogRow) -> bool:
    if row.type != "order_update":
        return False
    return row.payload["status"] == "REJECTED" or (
        row.payload["status"] == "ACCEPTED" and not row.payload.get("reason")
    )


def _answers(facts: Facts) -> Iterator[Violation]:
    """One order gets one answer, however often it is asked about."""
    first: dict[str, Call] = {}
    for call in _submits(facts):
        if not (_accepted(call) or _rejected(call)):
            continue
        earlier = first.setdefault(call.order_id, call)
        if (call.status, _told(call)) != (earlier.status, _told(earlier)):
            yield Violation(
                "answer", f"{call.order_id}: {earlier.status} {earlier.answer} and {call.status} {call.answer}"
            )


def _told(call: Call) -> Row:
    return {name: value for name, value in call.answer.items() if name != "request_id"}


def _made_up(facts: Facts) -> Iterator[Violation]:
    """Nothing is there that no one asked for, or that every answer said was not taken."""
    asked: dict[str, list[Call]] = defaultdict(list)
    for call in _submits(facts):
        asked[call.order_id].append(call)
    if not asked:
        return
    for order_id in facts.orders:
        calls = asked.get(order_id)
        if calls is None:
            yield Violation("made up", f"{order_id}: in orders, never sent")
        elif all(call.not_taken for call in calls):
            yield Violation("made up", f"{order_id}: in orders, every answer said it was not taken")


def _log(facts: Facts) -> Iterator[Violation]:
    """Contiguous from 1 to the account's head, written under epochs that never go back."""
    seqs = [row.seq for row in facts.log]
    for before, after in itertools.pairwise([0, *seqs]):
        if after != before + 1:
            yield Violation("gap", f"the log goes from {before} to {after}")
    if (seqs[-1] if seqs else 0) != facts.head:
        yield Violation("gap", f"the log ends at {seqs[-1:]}, the account's head is {facts.head}")
    chain = bytes(32)
    for row in facts.log:
        chain = hashlib.sha256(chain + row.text.encode()).digest()
    if chain != facts.chain:
        yield Violation("chain", "a payload is not what was written: the log's chain does not end as the account's")
    for earlier, later in itertools.pairwise(facts.log):
        if later.epoch < earlier.epoch:
            yield Violation("stale epoch", f"seq {later.seq} under epoch {later.epoch}, after {earlier.epoch}")


def _fills(facts: Facts) -> Iterator[Violation]:
    logged = [_fill(row.payload, row.seq) for row in facts.log if row.type == "fill"]
    stored = [_fill(row, row["seq"]) for row in facts.fills]
    for fill in sorted({*logged} ^ {*stored}):
        yield Violation("fills", f"{fill}: only in {'the log' if fill in logged else 'fills'}")
    trade_ids = [fill[0] for fill in logged]
    if trade_ids != list(range(1, facts.trades + 1)):
        yield Violation("fills", f"trade ids {trade_ids[:5]}…{trade_ids[-5:]} are not 1…{facts.trades}")


def _fill(row: Row, seq: int) -> tuple[int, int, str, str, Decimal, Decimal, Decimal]:
    amounts = (decimal(row["qty"]), decimal(row["price"]), decimal(row["fee"]))
    return (int(row["trade_id"]), seq, row["client_order_id"], row["side"], *amounts)


def _tables(facts: Facts) -> Iterator[Violation]:
    """The tables are what the log adds up to."""
    folded = fold_tables(facts)
    if folded.error:
        yield Violation("unequal", f"the log does not add up: {folded.error}")
        return
    for name, expected, stored in (
        ("balance", folded.balances, {key: (row["free"], row["locked"]) for key, row in facts.balances.items()}),
        (
            "position",
            folded.positions,
            {key: (row["qty"], row["cost"], row["realised"]) for key, row in facts.positions.items()},
        ),
        ("order", folded.orders, {key: _figures(row) for key, row in facts.orders.items()}),
    ):
        for key in sorted({*expected, *stored}):
            zero = (0, 0) if name == "balance" else (0, 0, 0)
            if expected.get(key, zero) != stored.get(key, zero):
                yield Violation("unequal", f"{name} {key}: the log gives {expected.get(key)}, stored {stored.get(key)}")


def _figures(row: Row) -> tuple[str, Decimal, Decimal]:
    return (row["status"], row["qty"], row["executed_qty"])


def _streams(facts: Facts) -> Iterator[Violation]:
    """A client saw every event after its start once, in order, as the log has it."""
    log = {row.seq: row for row in facts.log}
    for number, stream in enumerate(facts.streams):
        last = stream.start
        for event in stream.events:
            seq = int(event.id or 0)
            if event.type == "reset":
                yield Violation("stream", f"client {number}: reset at {seq}, nothing was pruned")
            if seq <= last:
                yield Violation("stream duplicate", f"client {number}: {seq} after {last}")
            elif seq != last + 1:
                yield Violation("stream gap", f"client {number}: {seq} after {last}")
            row = log.get(seq)
            if row is None or event.type != row.type or any(event.data.get(k) != v for k, v in row.payload.items()):
                yield Violation("stream", f"client {number}: event {seq} is {event}, the log has {row}")
            last = max(last, seq)
        if last != facts.head:
            yield Violation("stream gap", f"client {number}: ended at {last}, the log at {facts.head}")


def _same_content(body: Body, event: Row) -> bool:
    """A request against the event that took its order; qty and price of `orders` change with an amend, these do not."""
    words = all(
        body[name] == event[key] for name, key in (("side", "side"), ("symbol", "symbol"), ("type", "order_type"))
    )
    amounts = (("qty", "qty"), ("price", "price"), ("stop_price", "stop_price"), ("expire_ts", "expire_ts_ns"))
    return words and all(decimal(body.get(name, "0")) == decimal(event.get(key, 0)) for name, key in amounts)
