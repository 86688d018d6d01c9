"""Orders by status: open ones in this engine now, closed ones since the start.

For the gauge that dashboards ask for, and for those who must know whether an account has many.
"""

from __future__ import annotations

from collections.abc import Iterable

from prometheus_client import Gauge

from app.commands import OPEN, Status


class OrderCounts:
    """Follows committed order states, and the open orders of accounts that come and go."""

    def __init__(self, gauge: Gauge) -> None:
        self._gauge = gauge
        self._open: dict[str, dict[str, Status]] = {}
        for status in Status:
            gauge.labels(status)

    def open(self, account: str) -> int:
        """How many open orders the account has; 0 when it is not here."""
        return len(self._open.get(account, ()))

    def forget(self) -> None:
        """No account is here."""
        for account in list(self._open):
            self.gave(account)

    def took(self, account: str, orders: Iterable[tuple[str, str]]) -> None:
        """The account came, with these open orders."""
        self.gave(account)
        for order_id, status in orders:
            self.changed(account, order_id, Status(status))

    def gave(self, account: str) -> None:
        """The account went."""
        for status in self._open.pop(account, {}).values():
            self._gauge.labels(status).dec()

    def changed(self, account: str, order_id: str, status: Status) -> None:
        """A committed state."""
        orders = self._open.setdefault(account, {})
        before = orders.pop(order_id, None)
        if before is not None:
            self._gauge.labels(before).dec()
        if status in OPEN:
            orders[order_id] = status
        self._gauge.labels(status).inc()
