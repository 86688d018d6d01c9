"""The checker of clusters is tried: each kind of violation is planted in the evidence of a healthy run and must be found."""

import asyncio
import random
from collections import Counter
from collections.abc import Callable, Sequence

import msgspec
import psycopg
import pytest

from tests.faults.checker import check, report
from tests.faults.cluster import Cluster
from tests.faults.facts import Facts, LogRow, gather
from tests.faults.fleet import campaign
from tests.faults.havoc import kill_gateways
from tests.faults.shard_checker import check_shards
from tests.faults.stream import Event

SEED = 11
KILLS = 3
replace = msgspec.structs.replace


@pytest.fixture(scope="module")
def run(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> tuple[Cluster, list[Facts]]:
    """A run on three gateways that met kills; the account that most gateways owned in turn comes first."""

    async def break_it(cluster: Cluster) -> None:
        await kill_gateways(cluster, random.Random(SEED), KILLS)

    async def healthy() -> Sequence[Facts]:
        await cluster.start()
        return (await campaign(cluster, tmp_path_factory.mktemp("run"), break_it, seed=SEED)).accounts

    accounts = asyncio.run(healthy())
    return cluster, sorted(accounts, key=lambda facts: len({row.epoch for row in facts.log}), reverse=True)


def _found(accounts: Sequence[Facts]) -> set[str]:
    violations = [violation for facts in accounts for violation in check(facts)] + check_shards(accounts)
    return {violation.kind for violation in violations}


def test_a_healthy_run_has_no_violation_and_enough_evidence(run: tuple[Cluster, list[Facts]]) -> None:
    _, accounts = run
    violations = [violation for facts in accounts for violation in check(facts)] + check_shards(accounts)
    assert not violations, report(violations)
    assert len({row.epoch for row in accounts[0].log}) > 1, "no account changed its owner"
    assert all(facts.digests and facts.seen_by_admin for facts in accounts)
    assert all(any(order["status"] == "CANCELLED" for order in facts.orders.values()) for facts in accounts)


CANCELLED = (
    """(SELECT max(ctid) FROM orders WHERE account = %(account)s AND status = 'CANCELLED' AND executed_qty = 0)"""
)
IN_THE_DATABASE = {
    "a lost acknowledgement": (
        """DELETE FROM orders WHERE ctid = (SELECT max(ctid) FROM orders
        WHERE account = %(account)s AND status = 'CANCELLED' AND executed_qty = 0)""",
        "lost",
    ),
    "a double order": (
        """INSERT INTO order_wal (account, seq, epoch, ts_ns, type, client_order_id, payload)
        SELECT account, a.seq + 1, s.epoch, w.ts_ns, w.type, w.client_order_id, w.payload
        FROM order_wal w JOIN accounts a USING (account) JOIN shards s USING (shard)
        WHERE account = %(account)s AND w.type = 'order_update' AND w.payload->>'status' = 'ACCEPTED'
            AND w.payload->>'reason' IS NULL ORDER BY w.seq LIMIT 1""",
        "doubled",
    ),
    "a gap": (
        """DELETE FROM order_wal WHERE account = %(account)s
        AND seq = (SELECT seq / 2 FROM accounts WHERE account = %(account)s)""",
        "gap",
    ),
    "a write of a gateway whose shard was claimed": (
        """UPDATE order_wal SET epoch = epoch - 1 WHERE account = %(account)s
        AND seq = (SELECT seq FROM accounts WHERE account = %(account)s)""",
        "stale epoch",
    ),
    "a write under an epoch that nobody claimed": (
        """UPDATE order_wal SET epoch = epoch + 1000 WHERE account = %(account)s
        AND seq = (SELECT seq FROM accounts WHERE account = %(account)s)""",
        "stale epoch",
    ),
}


@pytest.mark.parametrize("planted", IN_THE_DATABASE)
def test_a_violation_planted_in_the_database_is_found(planted: str, run: tuple[Cluster, list[Facts]]) -> None:
    cluster, accounts = run
    healthy, damage, kind = accounts[0], *IN_THE_DATABASE[planted]
    with psycopg.connect(cluster.database) as connection, connection.transaction(force_rollback=True):
        assert connection.execute(damage.encode(), {"account": healthy.account}).rowcount == 1
        damaged = gather(connection, account=healthy.account)
    evidence = {name: getattr(healthy, name) for name in ("calls", "streams", "digests", "seen_by_admin")}
    assert kind in _found([replace(damaged, **evidence), *accounts[1:]])


def _log(facts: Facts, change: Callable[[list[LogRow]], list[LogRow]]) -> Facts:
    return replace(facts, log=change(list(facts.log)))


def _interleaved(log: list[LogRow]) -> list[LogRow]:
    """Two gateways write in turn, each under its epoch, where the log changes hands."""
    place = next(n for n in range(1, len(log)) if log[n].epoch != log[n - 1].epoch)
    early, late = log[place - 1].epoch, log[place].epoch
    log[place - 1], log[place] = replace(log[place - 1], epoch=late), replace(log[place], epoch=early)
    return log


def _late_commit(log: list[LogRow]) -> list[LogRow]:
    """The last of an epoch was committed after the next epoch's first: only the transactions' numbers show it."""
    place = next(n for n in range(1, len(log)) if log[n].epoch != log[n - 1].epoch)
    log[place - 1] = replace(log[place - 1], xid=log[place].xid + 1)
    return log


def _digest(facts: Facts, **changes: object) -> Facts:
    last = facts.digests[-1]
    return replace(facts, digests=[*facts.digests[:-1], replace(last, **changes)])


def _admin(facts: Facts, change: Callable[[list[Event]], list[Event]]) -> Facts:
    return replace(facts, seen_by_admin=change(list(facts.seen_by_admin or [])))


OUTSIDE: dict[str, tuple[Callable[[Facts], Facts], str]] = {
    "two gateways that write one account in turn": (lambda f: _log(f, _interleaved), "stale epoch"),
    "a commit of the old owner after the new one's first": (lambda f: _log(f, _late_commit), "stale epoch"),
    "an engine in another state": (lambda f: _digest(f, digest="0" * 64), "digest"),
    "an engine behind the log": (lambda f: _digest(f, seq=f.digests[-1].seq // 2), "digest"),
    "an engine ahead of the log": (lambda f: _digest(f, seq=f.head + 1), "digest"),
    "an engine that answers for another account": (lambda f: _digest(f, account="other"), "digest"),
    "a gap in the stream of all accounts": (lambda f: _admin(f, lambda e: [*e[:5], *e[6:]]), "stream gap"),
    "an event twice on the stream of all accounts": (
        lambda f: _admin(f, lambda e: [*e[:5], e[4], *e[5:]]),
        "stream gap",
    ),
    "a repetition at the end of the stream of all": (lambda f: _admin(f, lambda e: [*e, e[-1]]), "stream duplicate"),
}


@pytest.mark.parametrize("planted", OUTSIDE)
def test_a_violation_planted_in_what_was_seen_is_found(planted: str, run: tuple[Cluster, list[Facts]]) -> None:
    _, accounts = run
    plant, kind = OUTSIDE[planted]
    assert kind in _found([plant(accounts[0]), *accounts[1:]])


def test_a_stale_write_to_another_account_of_the_shard_is_found(run: tuple[Cluster, list[Facts]]) -> None:
    _, accounts = run
    first = accounts[0]
    late = replace(first.log[0], xid=first.log[-1].xid + 1)
    neighbour = replace(first, account="neighbour", log=[late], digests=[], seen_by_admin=None)
    assert Counter(v.kind for v in check_shards([first, neighbour])) == {"stale epoch": 1}
