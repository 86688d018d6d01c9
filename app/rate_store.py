"""The windows that all gateways share, in Redis: one question and one seed, each a script.

Every gateway has fields of its own there, so that it can say at any time what they must be, however often, without counting
anything twice. Redis asks for that, by not knowing this process's marker or script, whenever it may have lost something:
scripts outlive neither a restart nor a failover, and a marker goes with the data.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from redis.asyncio import Redis
from redis.exceptions import NoScriptError

from app.cache import Cache

_ASK: Final = Path(__file__).with_name("ratelimit.lua")
_SEED: Final = Path(__file__).with_name("ratelimit_seed.lua")
_PREFIX: Final = "veloz:limit:"
_MARKER: Final = "veloz:limiter:"
_SUBJECTS_A_SEED: Final = 200


class RateStore:
    """One process's access. `window` in seconds. Every method raises CacheAway."""

    def __init__(self, cache: Cache, window: float) -> None:
        self._cache = cache
        self._window = round(window * 1e6)
        # Of this process alone: one that is started again must not write over what it used before.
        self._name = secrets.token_hex(6)
        self._marker = _MARKER + self._name
        self._script = f"-- {self._name}\n{_ASK.read_text()}"
        self._sha = hashlib.sha1(self._script.encode(), usedforsecurity=False).hexdigest()
        self._seed_script = _SEED.read_text()
        self._epoch = 0

    async def ask(self, batch: Sequence[Sequence[tuple[str, int, int]]]) -> list[int] | None:
        """Of each request its charges as subject, weight and limit; the answer as ratelimit.lua says.

        None: nothing was charged, and Redis is to be seeded first.
        """
        arguments: list[Any] = [self._window, self._name, self._epoch]
        keys = [self._marker]
        for charges in batch:
            arguments.append(len(charges))
            for subject, weight, limit in charges:
                keys.append(_PREFIX + subject)
                arguments += [weight, limit]

        async def use(client: Redis) -> list[int] | None:
            try:
                answer: list[int] = await client.evalsha(self._sha, len(keys), *keys, *arguments)
            except NoScriptError:
                return None
            return answer or None

        return await self._cache.run(use)

    async def reach(self) -> None:
        """Leave the script with Redis. It answers no question before the seed that follows."""

        async def load(client: Redis) -> None:
            await client.script_load(self._script)

        await self._cache.run(load)

    async def seed(self, own: Mapping[str, Mapping[int, int]]) -> None:
        """Make this process's use of each subject exactly that, by bucket; then questions are answered.

        A question or seed from before, that Redis may yet come to read, is void.
        """
        self._epoch += 1
        subjects = list(own)
        for first in range(0, max(1, len(subjects)), _SUBJECTS_A_SEED):
            some = subjects[first : first + _SUBJECTS_A_SEED]
            last = first + _SUBJECTS_A_SEED >= len(subjects)
            arguments: list[Any] = [self._window, self._name, self._epoch, int(last)]
            for subject in some:
                arguments.append(len(own[subject]))
                for bucket, weight in own[subject].items():
                    arguments += [bucket, weight]
            keys = [self._marker, *(_PREFIX + subject for subject in some)]
            await self._cache.run(lambda client, k=keys, a=arguments: self._put(client, k, a))  # type: ignore[misc]

    async def _put(self, client: Redis, keys: list[str], arguments: list[Any]) -> None:
        await client.eval(self._seed_script, len(keys), *keys, *arguments)
