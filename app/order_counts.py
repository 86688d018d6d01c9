"""Orders by status, for the gauge that dashboards ask for: open ones as they are now, closed ones since the gateway started."""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import Gauge

from app.commands import OPEN, Status
from app.lookup import Key


class OrderCounts:
    """Follows committed order states. After a recovery: `forget`, and when the open orders are read, `restored`."""

    def __init__(self, gauge: Gauge) -> None:
        self._gauge = gauge
        self._open: dict[Key, Status] = {}
        self._since: set[Key] | None = None  # what changed while the open orders are read
        for status in Status:
            gauge.labels(status)

    def forget(self) -> None:
        """What is open is to be read again."""
        self._open.clear()
        self._since = set()
        for status in OPEN:
            self._gauge.labels(status).set(0)

    def restored(self, orders: Iterable[tuple[Key, Status]]) -> None:
        """The open orders as they were read; what changed since is known better."""
        changed, self._since = self._since or set(), None
        for key, status in orders:
            if key not in changed:
                self._move(key, status)

    def changed(self, key: Key, status: Status) -> None:
        """A committed state."""
        if self._since is not None:
            self._since.add(key)
        self._move(key, status)

    def _move(self, key: Key, status: Status) -> None:
        before = self._open.pop(key, None)
        if before is not None:
            self._gauge.labels(before).dec()
        if status in OPEN:
            self._open[key] = status
        self._gauge.labels(status).inc()
