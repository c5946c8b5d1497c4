"""Prometheus figures of this process. Those of the platform are read from the database when scraped."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram

from api.ops.platform import PlatformMetrics


class Metrics:
    """A registry of its own, so that several apps can live in one process (tests)."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.platform = PlatformMetrics(self.registry)
        self.http_seconds = Histogram(
            "echoshot_http_request_seconds",
            "Time until the first byte of the answer.",
            ("method", "route", "status"),
            buckets=(0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0),
            registry=self.registry,
        )
        self.unstarted = Counter(
            "echoshot_jobs_unstarted_total",
            "Jobs whose workflow could not be started at once and were left to the sweeper.",
            registry=self.registry,
        )
        self.unanswered = Counter(
            "echoshot_checkouts_unanswered_total",
            "Times that a purchase's checkout was not there in time for the answer.",
            registry=self.registry,
        )
        self.webhooks = Counter(
            "echoshot_webhooks_total",
            "Webhooks of payment providers by what came of them.",
            ("provider", "outcome"),
            registry=self.registry,
        )
        self.streams = Gauge(
            "echoshot_event_streams", "Open SSE and WebSocket streams.", registry=self.registry
        )
