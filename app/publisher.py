"""What becomes visible after a commit: streams, last market views, metrics."""

from __future__ import annotations

import logging
import time
from collections.abc import Sequence
from decimal import Decimal

from app.fanout import Fanout
from app.hub import EventHub
from app.market_view import MarketView
from app.metrics_core import CoreMetrics
from app.money import from_decimal
from app.order_counts import OrderCounts
from app.wal_rows import Append
from app.wire import decode_market, decode_order_state

log = logging.getLogger(__name__)


class Publisher:
    """Hands on what was committed, in the log's order."""

    def __init__(self, hub: EventHub, fanout: Fanout, metrics: CoreMetrics) -> None:
        self.markets: dict[str, MarketView] = {}
        self.orders = OrderCounts(metrics.orders_by_status)
        self._hub = hub
        self._fanout = fanout
        self._metrics = metrics

    def publish(self, group: Sequence[Append], xid: int) -> None:
        entries = [entry for append in group for entry in append.entries]
        self._hub.publish(entries, xid)
        self._fanout.publish(entries, xid)
        for append in group:
            if append.first is not None:
                self._metrics.orders.inc()
            for entry in append.entries:
                if entry.type == "order_state":
                    state = decode_order_state(entry.payload)
                    self.orders.changed(entry.account, state.client_order_id, state.status)
            for event in append.others:
                if event.type == "market":
                    self._market(event.payload)
                elif event.type == "book":
                    log.warning("market book: %s", event.payload.decode())

    def _market(self, payload: bytes) -> None:
        event = decode_market(payload)
        view = MarketView(
            symbol=event.symbol,
            ts_ns=event.ts_ns,
            received_ns=time.time_ns(),
            payload=payload,
            price=_units(event.price),
            qty=_units(event.qty),
            bid=_units(event.bid),
            bid_qty=_units(event.bid_qty),
            ask=_units(event.ask),
            ask_qty=_units(event.ask_qty),
        )
        self.markets[view.symbol] = view
        self._metrics.market_events.labels(view.symbol).inc()
        self._hub.publish_market(view)


def _units(value: Decimal | None) -> int | None:
    return None if value is None else from_decimal(value)
