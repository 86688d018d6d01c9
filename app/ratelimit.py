"""How often: sliding windows of request weight for each key and each address, exact.

A request costs one round trip to Redis at most; those that come at one moment share it.
Redis away: the same rule on this gateway's own count, which is kept all the time, so that a limit holds through the change.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import OrderedDict
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import msgspec
from redis.asyncio import Redis

from app.cache import Cache, CacheAway

SCRIPT = Path(__file__).with_name("ratelimit.lua")
BUCKETS = 60
_SUBJECTS = 20_000
_BATCH = 256
_PREFIX = "veloz:limit:"


class Charge(msgspec.Struct, frozen=True):
    """A weight to be used by a subject, within a limit; a weight of 0 only asks."""

    subject: str
    weight: int
    limit: int


class Verdict(msgspec.Struct, frozen=True):
    """Whether all charges fit. The rest describes the subject nearest to its limit; seconds from now."""

    allowed: bool
    limit: int
    remaining: int
    reset: float
    retry_after: float

    def headers(self) -> dict[str, str]:
        """`X-RateLimit-Reset` is the Unix second in which used weight is given back."""
        headers = {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(max(0, self.remaining)),
            "X-RateLimit-Reset": str(math.ceil(time.time() + self.reset)),
        }
        if not self.allowed:
            headers["Retry-After"] = str(max(1, math.ceil(self.retry_after)))
        return headers


UNLIMITED = Verdict(allowed=True, limit=0, remaining=0, reset=0.0, retry_after=0.0)


class Window:
    """One subject's use, by bucket. The rule of ratelimit.lua, in seconds."""

    __slots__ = ("buckets", "used")

    def __init__(self) -> None:
        self.buckets: dict[int, int] = {}
        self.used = 0

    def ask(self, now: float, window: float, charge: Charge) -> tuple[int, float, float]:
        """Used weight, seconds until the oldest bucket leaves, seconds until the weight fits (0.0: now)."""
        width = window / BUCKETS
        first = math.floor(now / width) - BUCKETS
        for bucket in [b for b in self.buckets if b < first]:
            self.used -= self.buckets.pop(bucket)
        leaves = [((bucket + BUCKETS + 1) * width - now, weight) for bucket, weight in self.buckets.items()]
        oldest = leaves[0][0] if leaves else window
        if self.used + charge.weight <= charge.limit:
            return self.used, oldest, 0.0
        rest = self.used
        for wait, weight in leaves:
            rest -= weight
            if rest + charge.weight <= charge.limit:
                return self.used, oldest, wait
        return self.used, oldest, window

    def add(self, now: float, window: float, weight: int) -> None:
        """Add weight, or give it back when negative, in the bucket of `now`."""
        bucket = math.floor(now / (window / BUCKETS))
        self.buckets[bucket] = self.buckets.get(bucket, 0) + weight
        self.used += weight


class Limiter:
    """The limits of one gateway. `window` in seconds."""

    def __init__(self, cache: Cache, window: float) -> None:
        self._cache = cache
        self._window = window
        self._own: OrderedDict[str, Window] = OrderedDict()
        self._script = SCRIPT.read_text()
        self._registered: Any = None
        self._waiting: list[tuple[Sequence[Charge], asyncio.Future[Verdict | None]]] = []
        self._asking: asyncio.Task[None] | None = None

    async def use(self, charges: Sequence[Charge]) -> Verdict:
        """Use every charge's weight, or none. A limit of 0 does not limit."""
        charges = [charge for charge in charges if charge.limit > 0]
        if not charges:
            return UNLIMITED
        now = time.monotonic()
        own = self._own_verdict(charges, now)
        if not own.allowed:
            return own
        self._count(charges, now, 1)  # before waiting, or requests that wait together would all pass
        verdict = await self._shared(charges)
        if verdict is None:
            return own
        if not verdict.allowed:
            self._count(charges, now, -1)
        return verdict

    def surely_denied(self, charge: Charge) -> Verdict | None:
        """The refusal of a charge that this gateway's own count refuses already; asks nobody."""
        verdict = self._own_verdict([charge], time.monotonic()) if charge.limit else UNLIMITED
        return None if verdict.allowed else verdict

    def _own_verdict(self, charges: Sequence[Charge], now: float) -> Verdict:
        verdict = _verdict(charges, [self._subject(c.subject).ask(now, self._window, c) for c in charges])
        if verdict.allowed:
            return verdict
        # Redis cuts its buckets by another clock, so it gives weight back up to a bucket later.
        return msgspec.structs.replace(verdict, retry_after=verdict.retry_after + self._window / BUCKETS)

    def _count(self, charges: Sequence[Charge], now: float, sign: int) -> None:
        for charge in charges:
            if charge.weight:
                self._subject(charge.subject).add(now, self._window, sign * charge.weight)

    def _subject(self, name: str) -> Window:
        window = self._own.get(name)
        if window is None:
            window = self._own[name] = Window()
            if len(self._own) > _SUBJECTS:
                self._own.popitem(last=False)
        self._own.move_to_end(name)
        return window

    async def _shared(self, charges: Sequence[Charge]) -> Verdict | None:
        """What Redis says; None when it is away. Requests that come while it is asked go together in the next question."""
        answered: asyncio.Future[Verdict | None] = asyncio.get_running_loop().create_future()
        self._waiting.append((charges, answered))
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask_all())
        return await answered

    async def _ask_all(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:_BATCH], self._waiting[_BATCH:]
                verdicts: Sequence[Verdict | None] = [None] * len(batch)
                try:
                    verdicts = await self._cache.run(partial(self._ask, [charges for charges, _ in batch]))
                except CacheAway:
                    continue
                finally:  # whatever happened, nobody is left waiting
                    for (_, answered), verdict in zip(batch, verdicts, strict=True):
                        if not answered.done():
                            answered.set_result(verdict)
        finally:
            self._asking = None

    async def _ask(self, batch: Sequence[Sequence[Charge]], client: Redis) -> list[Verdict]:
        if self._registered is None:
            self._registered = client.register_script(self._script)
        arguments = [int(self._window * 1e6)]
        for charges in batch:
            arguments.append(len(charges))
            for charge in charges:
                arguments += [charge.weight, charge.limit]
        keys = [_PREFIX + charge.subject for charges in batch for charge in charges]
        numbers = iter(await self._registered(keys=keys, args=arguments))
        verdicts = []
        for charges in batch:
            next(numbers)  # whether it is allowed follows from the rest
            rows = [(next(numbers), next(numbers) / 1e6, next(numbers) / 1e6) for _ in charges]
            verdicts.append(_verdict(charges, rows))
        return verdicts


def _verdict(charges: Sequence[Charge], rows: Sequence[tuple[int, float, float]]) -> Verdict:
    """`rows` hold what was used before the charges."""
    allowed = all(used + charge.weight <= charge.limit for charge, (used, _, _) in zip(charges, rows, strict=True))
    spent = [
        (c.limit - used - (c.weight if allowed else 0), c, oldest)
        for c, (used, oldest, _) in zip(charges, rows, strict=True)
    ]
    remaining, nearest, reset = min(spent, key=lambda entry: entry[0])
    retry_after = max(wait for _, _, wait in rows)
    return Verdict(
        allowed=allowed,
        limit=nearest.limit,
        remaining=remaining,
        reset=reset,
        retry_after=0.0 if allowed else retry_after,
    )
