"""How often: sliding windows of request weight for each key and each address, exact over all gateways.

A request costs one round trip to Redis at most; those that come at one moment share it. Each gateway also keeps its own count
all the time, by Redis's clock, and what Redis last said that all others had used.

**Redis away**: of what was left then, and of what is given back since, each gateway lets pass its share, limit / N with N
gateways alive, at least 1. So all together stay within the limit, and one that had used more than its share already refuses until
enough of that has left the window. What it cannot know is what others used after it last asked about a subject.

**Redis back**, as it was, older or empty: each gateway first says what its own use is (app/rate_store.py), and goes on
with its share as long as the others may need to do the same. What a gateway used that died meanwhile is lost only if Redis
lost it.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections import Counter, OrderedDict
from collections.abc import Callable, Sequence
from typing import Final

import msgspec

from app.cache import Cache, CacheAway
from app.rate_store import RateStore
from app.rate_window import BUCKETS, Row, Window

LOOK_SECONDS: Final = 0.25
LOOK_AWAY_SECONDS: Final = 0.1
_SUBJECTS = 20_000
_BATCH = 256
_LONG_AGO = -math.inf


class Charge(msgspec.Struct, frozen=True):
    """A weight to be used by a subject, within a limit; a weight of 0 only asks."""

    subject: str
    weight: int
    limit: int


class Verdict(msgspec.Struct, frozen=True):
    """Whether all charges fit. The rest describes the subject nearest to its limit, after them; seconds from now."""

    allowed: bool
    limit: int
    used: int
    reset: float
    retry_after: float

    @property
    def remaining(self) -> int:
        return max(0, self.limit - self.used)

    def headers(self) -> dict[str, str]:
        """`X-RateLimit-Reset` is the Unix second in which used weight is given back."""
        headers = {
            "X-RateLimit-Limit": str(self.limit),
            "X-RateLimit-Remaining": str(self.remaining),
            "X-RateLimit-Reset": str(math.ceil(time.time() + self.reset)),
            "X-RateLimit-Used": str(self.used),
        }
        if not self.allowed:
            headers["Retry-After"] = str(max(1, math.ceil(self.retry_after)))
        return headers


UNLIMITED = Verdict(allowed=True, limit=0, used=0, reset=0.0, retry_after=0.0)


class _Request(msgspec.Struct, eq=False):
    """Charges that wait for their verdict."""

    charges: Sequence[Charge]
    answered: asyncio.Future[Verdict]


class Limiter:
    """The limits of one gateway. `window` in seconds; `live` tells how many gateways there are."""

    def __init__(self, cache: Cache, window: float, live: Callable[[], int] = lambda: 1) -> None:
        self._store = RateStore(cache, window)
        self._width = window / BUCKETS
        self._live = live
        self._settle_seconds = cache.notices_within + 2 * LOOK_AWAY_SECONDS
        self._subjects: OrderedDict[str, Window] = OrderedDict()
        self._ahead = time.time() - time.monotonic()  # Redis's clock; until it was heard, as ours
        self._exact_since = _LONG_AGO
        self._seeded = False
        self._unsure: set[str] = set()  # Redis may have charged what we do not know of
        self._heard = _LONG_AGO
        self._waiting: list[_Request] = []
        self._asking: asyncio.Task[None] | None = None

    async def use(self, charges: Sequence[Charge]) -> Verdict:
        """Use every charge's weight, or none. A limit of 0 does not limit."""
        charges = [charge for charge in charges if charge.limit > 0]
        if not charges:
            return UNLIMITED
        verdict = self._own_verdict(charges)
        if not verdict.allowed:
            return verdict
        for charge in charges:  # before waiting, or requests that wait together would all pass
            self._subject(charge.subject).waiting += charge.weight
        return await self._decided(charges)

    def surely_denied(self, charge: Charge) -> Verdict | None:
        """The refusal of a charge that this gateway's own count refuses already; asks nobody."""
        verdict = self._own_verdict([charge]) if charge.limit else UNLIMITED
        return None if verdict.allowed else verdict

    async def run(self) -> None:
        """Until cancelled: notice without a request that Redis is back, or forgot, for the sake of the others' requests."""
        while True:
            await asyncio.sleep(LOOK_SECONDS if self._seeded else LOOK_AWAY_SECONDS)
            if time.monotonic() - self._heard >= LOOK_SECONDS:
                await self._decided([])

    @property
    def exact(self) -> bool:
        """Whether Redis decides alone."""
        return time.monotonic() >= self._exact_since

    def _own_verdict(self, charges: Sequence[Charge]) -> Verdict:
        now, width = self._now(), self._width
        verdict = _verdict(charges, [self._subject(c.subject).alone(now, width, c.weight, c.limit) for c in charges])
        if verdict.allowed and not self.exact:
            verdict = _verdict(charges, self._share(charges, [self._subject(c.subject).waiting for c in charges]))
        if verdict.allowed:
            return verdict
        # Redis is asked a moment later, when its clock may not yet be as far as ours.
        return msgspec.structs.replace(verdict, retry_after=verdict.retry_after + width)

    def _share(self, charges: Sequence[Charge], under_way: Sequence[int]) -> list[Row]:
        now, live = self._now(), max(1, self._live())
        return [
            self._subject(c.subject).shared(now, self._width, c.weight, c.limit, live, under_way=weight)
            for c, weight in zip(charges, under_way, strict=True)
        ]

    def _now(self) -> float:
        return time.monotonic() + self._ahead

    def _subject(self, name: str) -> Window:
        window = self._subjects.get(name)
        if window is None:
            window = self._subjects[name] = Window()
            if len(self._subjects) > _SUBJECTS:
                self._subjects.popitem(last=False)
        self._subjects.move_to_end(name)
        return window

    async def _decided(self, charges: Sequence[Charge]) -> Verdict:
        """Requests that come while Redis is asked go together in the next question."""
        answered: asyncio.Future[Verdict] = asyncio.get_running_loop().create_future()
        self._waiting.append(_Request(charges, answered))
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask_all())
        return await answered

    async def _ask_all(self) -> None:
        try:
            while self._waiting:
                batch, self._waiting = self._waiting[:_BATCH], self._waiting[_BATCH:]
                try:
                    await self._decide(batch)
                finally:  # whatever happened, nobody is left waiting
                    for one in batch:
                        if not one.answered.done():
                            one.answered.set_exception(RuntimeError("the limiter failed"))
        finally:
            self._asking = None

    async def _decide(self, batch: list[_Request]) -> None:
        try:
            while True:
                await self._seed()
                batch = self._within_share(batch)
                asked = [[(c.subject, c.weight, c.limit) for c in one.charges] for one in batch]
                answer = await self._store.ask(asked)
                if answer is not None:
                    break
                self._lost(self._unsure)
        except CacheAway:
            self._lost({charge.subject for one in batch for charge in one.charges})
            self._decide_alone(batch)
        else:
            self._settle(batch, answer)

    def _lost(self, unsure: set[str]) -> None:
        """Redis is away, or is no longer as we left it."""
        self._seeded = False
        self._unsure |= unsure
        self._exact_since = math.inf

    async def _seed(self) -> None:
        """Tell Redis what this gateway used, unless it knows. CacheAway."""
        if self._seeded:
            return
        await self._store.reach()  # at once when it is away, without all that follows
        bucket = math.floor(self._now() / self._width)
        own: dict[str, dict[int, int]] = {subject: {} for subject in self._unsure}
        for subject, window in self._subjects.items():
            window.expire(bucket)
            if window.own.total:
                own[subject] = window.own.weights
        await self._store.seed(own)
        self._seeded = True
        self._unsure.clear()
        if self._exact_since == math.inf:
            self._exact_since = time.monotonic() + self._settle_seconds

    def _within_share(self, batch: list[_Request]) -> list[_Request]:
        """While others may not have seeded yet: those that the share has room for; the rest is refused."""
        if self.exact:
            return batch
        passed, taken = [], Counter[str]()
        for one in batch:
            verdict = _verdict(one.charges, self._share(one.charges, [taken[c.subject] for c in one.charges]))
            if verdict.allowed:
                taken.update({charge.subject: charge.weight for charge in one.charges})
                passed.append(one)
            else:
                self._finish(one, verdict)
        return passed

    def _decide_alone(self, batch: Sequence[_Request]) -> None:
        bucket = math.floor(self._now() / self._width)
        for one in batch:
            verdict = _verdict(one.charges, self._share(one.charges, [0] * len(one.charges)))
            self._finish(one, verdict, bucket)

    def _settle(self, batch: Sequence[_Request], answer: Sequence[int]) -> None:
        """Take note of what Redis decided, in its order."""
        numbers, self._heard = iter(answer), time.monotonic()
        now = next(numbers) / 1e6
        self._ahead = now - self._heard
        bucket = math.floor(now / self._width)
        for one in batch:
            next(numbers)  # whether it is allowed follows from the rest
            rows = [Row(c.limit, next(numbers), next(numbers) / 1e6, next(numbers) / 1e6) for c in one.charges]
            if self.exact:
                for charge, row in zip(one.charges, rows, strict=True):
                    window = self._subject(charge.subject)
                    window.expire(bucket)
                    window.told(bucket, row.used)
            self._finish(one, _verdict(one.charges, rows), bucket)

    def _finish(self, one: _Request, verdict: Verdict, bucket: int = 0) -> None:
        """Answer, and count in `bucket` what is allowed."""
        for charge in one.charges:
            window = self._subject(charge.subject)
            window.waiting = max(0, window.waiting - charge.weight)
            if verdict.allowed and charge.weight:
                window.used(bucket, charge.weight)
        if not one.answered.done():
            one.answered.set_result(verdict)


def _verdict(charges: Sequence[Charge], rows: Sequence[Row]) -> Verdict:
    if not charges:
        return UNLIMITED
    allowed = all(row.used + charge.weight <= row.limit for charge, row in zip(charges, rows, strict=True))
    spent = [(row, row.used + (c.weight if allowed else 0)) for c, row in zip(charges, rows, strict=True)]
    nearest, used = min(spent, key=lambda entry: entry[0].limit - entry[1])
    return Verdict(
        allowed=allowed,
        limit=nearest.limit,
        used=used,
        reset=nearest.oldest,
        retry_after=0.0 if allowed else max(row.wait for row in rows),
    )
