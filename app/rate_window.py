"""What one gateway knows of one subject's use: bucket by bucket, its own and what Redis told of the others'. Pure.

A window is BUCKETS buckets; the one that the window begins in counts whole, so what is counted is never too little.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Final, NamedTuple

BUCKETS: Final = 60


class Row(NamedTuple):
    """A subject before a charge: the limit in force, weight used, seconds until some is given back, and until the charge fits."""

    limit: int
    used: int
    oldest: float
    wait: float


class Buckets:
    """Weight by bucket number."""

    __slots__ = ("total", "weights")

    def __init__(self) -> None:
        self.weights: dict[int, int] = {}
        self.total = 0

    def add(self, bucket: int, weight: int) -> None:
        self.weights[bucket] = self.weights.get(bucket, 0) + weight
        self.total += weight

    def expire(self, first: int) -> None:
        """Forget what lies before bucket `first`."""
        for bucket in [b for b in self.weights if b < first]:
            self.total -= self.weights.pop(bucket)

    def drop(self, weight: int) -> None:
        """Forget so much, the oldest first."""
        for bucket in sorted(self.weights):
            taken = min(weight, self.weights[bucket])
            weight -= taken
            self.total -= taken
            self.weights[bucket] -= taken
            if not self.weights[bucket]:
                del self.weights[bucket]
            if not weight:
                return

    def clear(self) -> None:
        self.weights.clear()
        self.total = 0


class Window:
    """`own`: this gateway's use. `waiting`: of requests under way. `others`: what Redis told last of all others' use.

    `since`: the part of `own` that is newer than `others`; while Redis answers it is one request's.
    """

    __slots__ = ("others", "own", "since", "waiting")

    def __init__(self) -> None:
        self.own = Buckets()
        self.others = Buckets()
        self.since = Buckets()
        self.waiting = 0

    def expire(self, bucket: int) -> None:
        """Let go what is out of the window at `bucket`."""
        for part in (self.own, self.others, self.since):
            if part.weights:
                part.expire(bucket - BUCKETS)

    def used(self, bucket: int, weight: int) -> None:
        """Count own use, whether or not Redis knows of it."""
        self.own.add(bucket, weight)
        self.since.add(bucket, weight)

    def told(self, bucket: int, used: int) -> None:
        """Redis, which knows all of `own`, says that `used` is used: the rest is others'.

        What is new of it counts as of now: it may be older, but so it is not forgotten too early.
        """
        change = used - self.own.total - self.others.total
        if change > 0:
            self.others.add(bucket, change)
        elif change < 0:
            self.others.drop(-change)
        self.since.clear()

    def alone(self, now: float, width: float, weight: int, limit: int) -> Row:
        """Against the whole limit, by own use."""
        self.expire(math.floor(now / width))
        used, oldest = self.own.total + self.waiting, _oldest(now, width, self.own)
        if used + weight <= limit:
            return Row(limit, used, oldest, 0.0)
        rest = used
        for bucket in sorted(self.own.weights):
            rest -= self.own.weights[bucket]
            if rest + weight <= limit:
                return Row(limit, used, oldest, _leaves(bucket, now, width))
        return Row(limit, used, oldest, BUCKETS * width)

    def shared(self, now: float, width: float, weight: int, limit: int, live: int, *, under_way: int) -> Row:
        """Against this gateway's share of what was left when Redis was last heard, and of what is given back since.

        All gateways together stay within the limit, if each was told what the others had used.
        """
        self.expire(math.floor(now / width))
        before = self.others.total + self.own.total - self.since.total
        since = self.since.total + under_way
        most = _share(limit, limit, live)
        row = Row(
            most, most - _share(limit - before, limit, live) + since, _oldest(now, width, self.own, self.others), 0.0
        )
        if row.used + weight <= most:
            return row
        for bucket in sorted(self.own.weights.keys() | self.others.weights.keys()):
            newer = self.since.weights.get(bucket, 0)
            before -= self.others.weights.get(bucket, 0) + self.own.weights.get(bucket, 0) - newer
            since -= newer
            if since + weight <= _share(limit - before, limit, live):
                return row._replace(wait=_leaves(bucket, now, width))
        return row._replace(wait=BUCKETS * width)


def _share(left: int, limit: int, live: int) -> int:
    """A gateway's part of what is left; with more gateways than limit each may have one."""
    return max(0, min(left, 1) if live > limit else left // live)


def _leaves(bucket: int, now: float, width: float) -> float:
    return (bucket + BUCKETS + 1) * width - now


def _oldest(now: float, width: float, *parts: Buckets) -> float:
    first: Iterator[int] = (min(part.weights) for part in parts if part.weights)
    bucket = min(first, default=None)
    return BUCKETS * width if bucket is None else _leaves(bucket, now, width)
