"""What only several gateways can get wrong: overlapping writers, engines unlike the log, holes in a stream of all. Pure."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Iterator, Sequence

import msgspec

from app.fold import FoldError
from tests.faults.checker import Violation
from tests.faults.facts import Facts, LogRow
from tests.faults.folded import digests_at


def check_shards(accounts: Sequence[Facts]) -> list[Violation]:
    """Every violation found over the accounts of a cluster; `check` is for each alone."""
    found = list(_epochs(accounts))
    for facts in accounts:
        found += _digests(facts)
        found += _admin(facts)
    return found


def _epochs(accounts: Sequence[Facts]) -> Iterator[Violation]:
    """In the order of their transactions, a shard's rows are of epochs that never go back, and of none beyond its own.

    A claim waits for the appends of the epoch before it, and those after it begin when it is done: so a transaction of a
    lower epoch with a higher number is one that the fence should have refused.
    """
    shards: dict[int, list[tuple[LogRow, str]]] = defaultdict(list)
    ends: dict[int, int] = {}
    for facts in accounts:
        shards[facts.shard] += [(row, facts.account) for row in facts.log]
        ends[facts.shard] = facts.epoch
    for shard, rows in shards.items():
        rows.sort(key=lambda pair: (pair[0].xid, pair[1], pair[0].seq))
        for (before, _), (row, account) in itertools.pairwise(rows):
            if row.epoch < before.epoch:
                yield Violation(
                    "stale epoch",
                    f"shard {shard}: {account} {row.seq} in transaction {row.xid} under epoch {row.epoch}, "
                    f"after {before.epoch} in {before.xid}",
                )
        for row, account in rows:
            if row.epoch > ends[shard]:
                yield Violation("stale epoch", f"{account} {row.seq}: epoch {row.epoch} was never claimed")


def _digests(facts: Facts) -> Iterator[Violation]:
    """What engines said their state was is what the log adds up to."""
    if not facts.digests:
        return
    try:
        folded = digests_at(facts, [digest.seq for digest in facts.digests])
    except (FoldError, msgspec.MsgspecError) as error:
        yield Violation("unequal", f"{facts.account}: the log does not add up: {error}")
        return
    for digest in facts.digests:
        if digest.account != facts.account:
            yield Violation("digest", f"{facts.account}: the digest is {digest.account}'s")
        elif digest.seq not in folded:
            yield Violation("digest", f"{facts.account}: the engine was at {digest.seq}, the log ends at {facts.head}")
        elif folded[digest.seq] != digest.digest:
            expected = folded[digest.seq]
            yield Violation("digest", f"{facts.account} at {digest.seq}: engine {digest.digest}, log {expected}")


def _admin(facts: Facts) -> Iterator[Violation]:
    """Who follows all accounts saw each one's events once, in order, as the log has them."""
    if facts.seen_by_admin is None:
        return
    for row, event in itertools.zip_longest(facts.log, facts.seen_by_admin):
        if row is None:
            yield Violation("stream duplicate", f"{facts.account}: an admin saw more than the log has: {event}")
            return
        same = event and event.type == row.type and all(event.data.get(k) == v for k, v in row.payload.items())
        if not same:
            yield Violation("stream gap", f"{facts.account}: an admin saw {event} where the log has {row.seq}: {row}")
            return
