"""What the order path needs to know; built from the process's settings."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec

Seconds = Annotated[float, msgspec.Meta(gt=0)]
Count = Annotated[int, msgspec.Meta(ge=1)]


class StartRefused(Exception):
    """What only an operator can mend; the message says how."""


class ExchangeConfig(msgspec.Struct, frozen=True, kw_only=True):
    """One gateway's order path. Times in seconds, amounts in 1e-8 units.

    `owner` names this gateway in the leases and must stay the same over its restarts; with `advertise_url` and `cluster_secret`
    it shares the accounts with the other gateways of its database. `incarnation` is this process, and ends the names of its
    sessions. `engine_cpus` are those that the engine runs on, as taskset(1) reads them;
    empty: any. `paper_balances` are what the account
    `main` is opened with at the first start. `max_market_age` None means that old market data does not matter.
    """

    postgres_dsn: str
    engine_path: Path
    engine_cpus: str = ""
    owner: str = "gateway-1"
    advertise_url: str = ""
    cluster_secret: str = ""
    incarnation: str = ""
    watch_interval: Seconds = 0.3
    cancel_at_end: bool = False
    paper_balances: dict[str, int] = {}
    submit_timeout: Seconds = 1.9
    max_in_flight: Count = 10_000
    max_feed_in_flight: Count = 256
    pool_size: Count = 8
    commit_timeout: Seconds = 1.5
    lookup_timeout: Seconds = 1.0
    heartbeat_interval: Seconds = 0.25
    heartbeat_timeout: Seconds = 1.0
    recovery_timeout: Seconds = 30.0
    lease_interval: Seconds = 1.0
    lease_ttl: Seconds = 3.0
    retry_least: Seconds = 0.1
    retry_most: Seconds = 5.0
    max_market_age: Seconds | None = 10.0
    max_clock_offset: Seconds = 0.5
    checkpoint_events: Count = 20_000
    checkpoint_timeout: Seconds = 10.0
    verify_from_start: bool = False
    log_keep_days: float = 0.0
    log_keep_events: int = 0
    redis_url: str = ""
    redis_timeout: Seconds = 0.15
    redis_retry: Seconds = 1.0

    def session(self, name: str) -> str:
        """What a session of this process is called at the server, so that others can end those of a dead one."""
        return f"veloz {name} {self.incarnation}".rstrip()
