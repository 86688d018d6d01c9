"""The HTTP edge's metrics, and the page Prometheus reads. Durations are seconds."""

from __future__ import annotations

from collections.abc import Callable

from aiohttp import web
from prometheus_client import (
    CollectorRegistry,
    Counter,
    Gauge,
    Histogram,
    PlatformCollector,
    ProcessCollector,
    disable_created_metrics,
)
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest

from app.metrics_core import CoreMetrics

disable_created_metrics()  # type: ignore[no-untyped-call] # a second series for each counter and histogram, which nothing asks for

_SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0)


class Metrics:
    """Everything one gateway counts. `core` is the order path's; the registry is this process's own."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        ProcessCollector(registry=self.registry)
        PlatformCollector(registry=self.registry)
        self.core = CoreMetrics(self.registry)
        self.http_seconds = Histogram(
            "veloz_http_request_seconds",
            "One request, from its head to the end of its answer; streams excepted",
            ["method", "route", "status"],
            buckets=_SECONDS,
            registry=self.registry,
        )
        self.internal_errors = Counter(
            "veloz_internal_errors", "Answers of 500: each is a defect", registry=self.registry
        )
        self.denied = Counter("veloz_denied", "Requests refused at the edge", ["code"], registry=self.registry)
        self.streams = Gauge("veloz_streams", "Open event streams", registry=self.registry)
        self.streams_stalled = Counter(
            "veloz_streams_stalled", "Streams cut off: reader stalled", registry=self.registry
        )
        self.redis_up = Gauge("veloz_redis_up", "1 when the last use of Redis succeeded", registry=self.registry)
        self.loop_lag = Gauge(
            "veloz_event_loop_lag_seconds", "How late the event loop was last", registry=self.registry
        )
        # Names that dashboards ask for; they count what venues' sockets do, and there are none in the simulator.
        self.websocket_connections = Gauge(
            "veloz_websocket_connections", "Open sockets to venues", registry=self.registry
        )
        self.websocket_reconnects = Gauge(
            "veloz_websocket_reconnects", "Sockets to venues opened again", registry=self.registry
        )

    def gauge(self, name: str, documentation: str, function: Callable[[], float]) -> None:
        """A gauge read when the page is."""
        Gauge(name, documentation, registry=self.registry).set_function(function)

    def page(self) -> web.Response:
        return web.Response(body=generate_latest(self.registry), headers={"Content-Type": CONTENT_TYPE_LATEST})
