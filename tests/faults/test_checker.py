"""The checker itself is tried: each kind of violation is planted in a healthy run's evidence and must be found."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from decimal import Decimal
from pathlib import Path

import msgspec
import psycopg
import pytest

from app.embedded import EmbeddedServers
from tests.conftest import new_database
from tests.faults.campaign import LEDGER, campaign
from tests.faults.checker import check, report
from tests.faults.facts import Facts, Followed, gather
from tests.faults.gateway import Gateway, environment
from tests.faults.killer import kill_gateway
from tests.faults.ledger import read
from tests.faults.waiting import until

SEED = 7
KILLS = 3
ENOUGH = 200
replace = msgspec.structs.replace


@pytest.fixture(scope="module")
def run(
    embedded: EmbeddedServers, migrated: str, engine_binary: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, Facts]]:
    """A healthy run: its database's DSN, and its evidence."""

    directory = tmp_path_factory.mktemp("checker")

    async def every_kind_of_answer() -> bool:
        statuses = Counter(call.status for call in read(directory / LEDGER) if call.path == "/api/order")
        return statuses[200] >= ENOUGH and min(statuses[400], statuses[409], statuses[422]) > 0

    async def break_it(gateway: Gateway) -> None:
        await kill_gateway(gateway, random.Random(SEED), KILLS)
        await until(every_kind_of_answer, seconds=60, every=0.5)

    with new_database(embedded.postgres_dsn, migrated) as dsn:
        environ = environment(dsn, embedded.redis_url, engine_binary)
        yield dsn, asyncio.run(campaign(directory, environ, break_it, seed=SEED)).facts


@pytest.fixture
def facts(run: tuple[str, Facts]) -> Facts:
    return run[1]


def test_a_healthy_run_has_no_violation_and_enough_evidence(facts: Facts) -> None:
    assert not (found := check(facts)), report(found)
    assert len(facts.orders) > 50
    assert facts.trades > 5
    assert {call.status for call in facts.calls} >= {200, 400, 409, 422}
    assert any(order["status"] == "CANCELLED" for order in facts.orders.values())


CANCELLED = "(SELECT max(ctid) FROM orders WHERE status = 'CANCELLED' AND executed_qty = 0)"
IN_THE_DATABASE = {
    "a lost acknowledgement": ("DELETE FROM orders WHERE ctid = {cancelled}", "lost"),
    "an order of another amount": (
        "UPDATE orders SET qty = qty + 1 WHERE ctid = {cancelled}",
        "unequal",
    ),
    "an unknown order turned into a rejected one": (
        "UPDATE orders SET status = 'REJECTED' WHERE ctid = {cancelled}",
        "rejected",
    ),
    "an order taken twice": (
        """INSERT INTO order_wal (account, seq, epoch, ts_ns, type, client_order_id, payload)
        SELECT account, a.seq + 1, w.epoch, w.ts_ns, w.type, w.client_order_id, w.payload
        FROM order_wal w JOIN accounts a USING (account)
        WHERE w.type = 'order_update' AND w.payload->>'status' = 'ACCEPTED' AND w.payload->>'reason' IS NULL
        ORDER BY w.seq LIMIT 1""",
        "doubled",
    ),
    "an order nobody sent": (
        "UPDATE orders SET client_order_id = 'from nowhere' WHERE ctid = {cancelled}",
        "made up",
    ),
    "a gap in the log": ("DELETE FROM order_wal WHERE seq = (SELECT seq / 2 FROM accounts)", "gap"),
    "the log's end cut off": ("DELETE FROM order_wal WHERE seq = (SELECT seq FROM accounts)", "gap"),
    "a payload changed": (
        """UPDATE order_wal SET payload = replace(payload::text, 'BTC', 'ETH')::json
        WHERE seq = (SELECT min(seq) FROM order_wal WHERE type = 'order_state')""",
        "chain",
    ),
    "a write under a stale epoch": (
        "UPDATE order_wal SET epoch = epoch - 1 WHERE seq = (SELECT seq FROM accounts)",
        "stale epoch",
    ),
    "a fill that is missing": ("DELETE FROM fills WHERE trade_id = 2", "fills"),
    "a fill of another amount": ("UPDATE fills SET qty = qty + 0.00000001 WHERE trade_id = 2", "fills"),
    "a wrong balance": ("UPDATE balances SET free = free + 0.00000001 WHERE asset = 'USDT'", "unequal"),
    "a missing balance": ("DELETE FROM balances WHERE asset = 'BTC'", "unequal"),
    "a wrong position": ("UPDATE positions SET cost = cost - 0.00000001", "unequal"),
    "an open order that should not be": (
        "UPDATE orders SET status = 'ACCEPTED' WHERE ctid = {cancelled}",
        "unequal",
    ),
}


@pytest.mark.parametrize("planted", IN_THE_DATABASE)
def test_a_violation_planted_in_the_database_is_found(planted: str, run: tuple[str, Facts]) -> None:
    dsn, healthy = run
    damage, kind = IN_THE_DATABASE[planted]
    with psycopg.connect(dsn) as connection, connection.transaction(force_rollback=True):
        assert connection.execute(damage.format(cancelled=CANCELLED).encode()).rowcount == 1
        damaged = gather(connection)
    found = check(replace(damaged, calls=healthy.calls, streams=healthy.streams))
    assert kind in {violation.kind for violation in found}


def _one(facts: Facts, **match: object) -> int:
    """The place of the first call on a single order that matches."""
    return next(
        place
        for place, call in enumerate(facts.calls)
        if call.path == "/api/order" and all(getattr(call, name) == value for name, value in match.items())
    )


def _call(facts: Facts, place: int, **changes: object) -> Facts:
    calls = list(facts.calls)
    calls[place] = replace(calls[place], **changes)
    return replace(facts, calls=calls)


def _stream(facts: Facts, change: Callable[[list[object]], Sequence[object]]) -> Facts:
    first, *others = facts.streams
    return replace(facts, streams=[Followed(first.start, change(list(first.events))), *others])  # type: ignore[arg-type]


def _false_conflict(facts: Facts) -> Facts:
    bodies = {
        call.order_id: {str(one.body) for one in facts.calls if one.order_id == call.order_id} for call in facts.calls
    }
    order_id = next(call.order_id for call in facts.calls if call.status == 200 and len(bodies[call.order_id]) == 1)
    place = _one(facts, status=200, order_id=order_id)
    return _call(facts, place, status=409, answer={"error": "conflict"})


def _lost_conflict(facts: Facts) -> Facts:
    place = _one(facts, status=409)
    body = facts.calls[place].body
    stored = facts.orders[body["client_order_id"]]
    return _call(
        facts, place, status=200, answer={"seq": stored["created_seq"]}, body=body | {"qty": str(stored["qty"] + 1)}
    )


def _other_content(facts: Facts) -> Facts:
    place = _one(facts, status=200)
    return _call(facts, place, body=facts.calls[place].body | {"symbol": "ETHUSDT"})


def _second_answer(facts: Facts) -> Facts:
    place = _one(facts, status=200)
    call = facts.calls[place]
    other = replace(call, n=10**9, answer=call.answer | {"seq": call.answer["seq"] + 1})
    return replace(facts, calls=[*facts.calls, other])


def _answered_past_the_log(facts: Facts) -> Facts:
    place = _one(facts, status=200)
    return _call(facts, place, answer=facts.calls[place].answer | {"seq": facts.head + 1})


def _refused_but_taken(facts: Facts) -> Facts:
    order_id = facts.calls[_one(facts, status=200)].order_id
    calls = [
        replace(call, status=503, answer={"error": "execution_unavailable"}) if call.order_id == order_id else call
        for call in facts.calls
    ]
    return replace(facts, calls=calls)


def _acknowledged_cancel_not_done(facts: Facts) -> Facts:
    filled = next(order_id for order_id, row in facts.orders.items() if row["status"] == "FILLED")
    cancel = replace(facts.calls[0], n=10**9, path="/api/cancel", body={"client_order_id": filled}, status=200)
    return replace(facts, calls=[*facts.calls, cancel])


def _more_filled_than_asked(facts: Facts) -> Facts:
    log = [
        replace(row, payload=row.payload | {"qty": Decimal(1000)}) if row.type == "fill" else row for row in facts.log
    ]
    return replace(facts, log=log)


OUTSIDE: dict[str, tuple[Callable[[Facts], Facts], str]] = {
    "a conflict told about the same order": (_false_conflict, "conflict"),
    "other content accepted under a taken id": (_lost_conflict, "content"),
    "an order with other content": (_other_content, "content"),
    "two answers to one order": (_second_answer, "answer"),
    "an answer that is not in the log": (_answered_past_the_log, "lost"),
    "a 503 for an order that was taken": (_refused_but_taken, "made up"),
    "a cancel that was acknowledged and not done": (_acknowledged_cancel_not_done, "lost"),
    "more filled than was asked for": (_more_filled_than_asked, "doubled"),
    "an id seen twice on a stream": (lambda f: _stream(f, lambda e: [*e[:5], e[4], *e[5:]]), "stream duplicate"),
    "a gap in a stream": (lambda f: _stream(f, lambda e: [*e[:5], *e[6:]]), "stream gap"),
    "a stream that ends early": (lambda f: _stream(f, lambda e: e[:-1]), "stream gap"),
    "an event that is not the log's": (
        lambda f: _stream(f, lambda e: [replace(e[0], data={"type": "other"}), *e[1:]]),  # type: ignore[type-var]
        "stream",
    ),
}


@pytest.mark.parametrize("planted", OUTSIDE)
def test_a_violation_planted_in_what_clients_saw_is_found(planted: str, facts: Facts) -> None:
    plant, kind = OUTSIDE[planted]
    assert kind in {violation.kind for violation in check(plant(facts))}
