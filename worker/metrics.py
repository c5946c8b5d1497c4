"""One Prometheus endpoint per worker: our own counters and the Temporal SDK's, which has a server of its own."""

from __future__ import annotations

import socket
import urllib.request
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

from prometheus_client import CONTENT_TYPE_LATEST, generate_latest
from temporalio.runtime import PrometheusConfig, Runtime, TelemetryConfig

from contracts.settings import Settings


def runtime_with_metrics(settings: Settings) -> Runtime:
    """The SDK's runtime; with `metrics_port` set it is scraped through our endpoint."""
    if not settings.metrics_port:
        return Runtime(telemetry=TelemetryConfig())
    sdk_port = _free_port()
    runtime = Runtime(
        telemetry=TelemetryConfig(metrics=PrometheusConfig(bind_address=f"127.0.0.1:{sdk_port}"))
    )
    _serve(settings.metrics_host, settings.metrics_port, f"http://127.0.0.1:{sdk_port}/metrics")
    return runtime


def _serve(host: str, port: int, sdk_url: str) -> None:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            with urllib.request.urlopen(sdk_url, timeout=5) as answer:  # noqa: S310 - our own loopback URL
                body = generate_latest() + answer.read()
            self.send_response(200)
            self.send_header("Content-Type", CONTENT_TYPE_LATEST)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, format: str, *args: object) -> None:
            """A scrape every few seconds is not news."""

    Thread(target=ThreadingHTTPServer((host, port), Handler).serve_forever, daemon=True).start()


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
