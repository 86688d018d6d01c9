"""The order path's metrics; names are what dashboards ask for."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

_SECONDS = (0.0005, 0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1.0, 2.0, 5.0)
_SIZES = (1, 2, 5, 10, 20, 50, 100, 200, 500, 1000, 5000)


class CoreMetrics:
    """Counters and histograms of the engine, the log and the market, registered once a process; times in seconds."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self.orders = Counter("veloz_orders", "Orders that the engine accepted or rejected", registry=registry)
        # A gauge, because a counter's name would end in _total; app/order_counts.py keeps it.
        self.orders_by_status = Gauge(
            "veloz_orders_by_status",
            "Orders by status: open ones now, closed ones since the start",
            ["status"],
            registry=registry,
        )
        self.market_events = Counter("veloz_market_events", "Market events", ["symbol"], registry=registry)
        self.rejects = Counter("veloz_risk_rejects", "Orders refused by a risk check", ["reason"], registry=registry)
        self.command_seconds = Histogram(
            "veloz_command_seconds",
            "From admission to committed answer",
            ["command"],
            buckets=_SECONDS,
            registry=registry,
        )
        self.commit_seconds = Histogram("veloz_commit_seconds", "One group commit", buckets=_SECONDS, registry=registry)
        self.commit_events = Histogram(
            "veloz_commit_events", "Events in one group commit", buckets=_SIZES, registry=registry
        )
        self.in_flight = Gauge("veloz_commands_in_flight", "Commands admitted and not answered", registry=registry)
        self.engine_starts = Counter("veloz_engine_starts", "Engine processes started", registry=registry)
        self.recovery_seconds = Histogram(
            "veloz_recovery_seconds",
            "From a claim of shards until their accounts trade",
            buckets=_SECONDS,
            registry=registry,
        )
        self.recovery_mismatches = Counter(
            "veloz_recovery_mismatches", "Recoveries that found engine, tables and log unequal", registry=registry
        )
        self.handovers = Counter("veloz_handovers", "Shards that came in or went out", ["direction"], registry=registry)
        self.forwarded = Counter(
            "veloz_forwarded", "Commands sent to the gateway that owns their account", ["outcome"], registry=registry
        )
        self.unknown = Counter("veloz_unknown", "Commands answered with unknown", registry=registry)
        self.ready = Gauge("veloz_exchange_ready", "1 when orders are taken", registry=registry)
        self.fanout_messages = Counter(
            "veloz_fanout_messages", "Messages of commits between gateways", ["direction"], registry=registry
        )
        for direction in ("sent", "received", "ignored"):
            self.fanout_messages.labels(direction)
        self.fanout_gaps = Counter(
            "veloz_fanout_gaps", "Back-fills from the log because a message was missing", registry=registry
        )
        self.pruned = Counter("veloz_log_pruned", "Log entries pruned by age or number", registry=registry)
        self.switches_fired = Counter(
            "veloz_switches_fired", "Dead man's switches that cancelled a key's orders", ["kind"], registry=registry
        )
