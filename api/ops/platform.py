"""Figures of the whole platform for Prometheus, read from the database at most every `FRESH_S` seconds.

Every API process shows the same platform figures: take `max`, not `sum`, over its instances.
"""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta

from prometheus_client import CollectorRegistry, Gauge, Histogram
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.jobs import ACTIVE
from contracts.kinds import KINDS
from db import metrics
from db.engine import Database

FRESH_S = 5.0
SETTLED_WINDOW = timedelta(hours=24)
COMMIT_LAG = timedelta(seconds=30)
"""`finished_at` is when a transaction began; its row is visible when it committed, at most this much later."""
SECONDS = (1, 5, 15, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21600)


class PlatformMetrics:
    def __init__(self, registry: CollectorRegistry) -> None:
        self._jobs = Gauge(
            "echoshot_jobs_active", "Jobs that have not ended.", ("kind", "status"), registry=registry
        )
        self._attention = Gauge(
            "echoshot_jobs_attention", "Jobs that wait for a person.", ("kind", "reason"), registry=registry
        )
        self._settled = Gauge(
            "echoshot_jobs_settled_24h",
            "Jobs that ended in the last day.",
            ("kind", "status"),
            registry=registry,
        )
        self._held = Gauge("echoshot_credits_held", "Credits promised to running jobs.", registry=registry)
        self._queue_wait = Histogram(
            "echoshot_job_queue_wait_seconds", "From queued to running, of ended jobs.", ("kind",),
            buckets=SECONDS, registry=registry,
        )  # fmt: skip
        self._run = Histogram(
            "echoshot_job_run_seconds",
            "From running to the end.",
            ("kind",),
            buckets=SECONDS,
            registry=registry,
        )
        self._stages = Histogram(
            "echoshot_stage_seconds", "Duration of a stage, of ended jobs.", ("kind", "stage"),
            buckets=SECONDS, registry=registry,
        )  # fmt: skip
        self._read_at = float("-inf")
        self._counted_until = datetime.now(UTC) - COMMIT_LAG
        self._reading = asyncio.Lock()

    async def refresh(self, database: Database) -> None:
        async with self._reading:
            if time.monotonic() - self._read_at < FRESH_S:
                return
            async with database.read() as session:
                await self._read(session)
            self._read_at = time.monotonic()

    async def _read(self, session: AsyncSession) -> None:
        for kind in KINDS:
            for status in ACTIVE:
                self._jobs.labels(kind, status).set(0)
        self._attention.clear()
        self._settled.clear()
        for row in await metrics.active_jobs(session):
            self._jobs.labels(row.kind, row.status).inc(row.count)
            if row.attention:
                self._attention.labels(row.kind, row.attention).inc(row.count)
        now = datetime.now(UTC)
        for row in await metrics.jobs_settled_since(session, now - SETTLED_WINDOW):
            self._settled.labels(row.kind, row.status).inc(row.count)
        self._held.set(await metrics.credits_held(session))
        until = now - COMMIT_LAG
        for job in await metrics.durations_since(session, self._counted_until, until):
            if job.queue_wait_s is not None:
                self._queue_wait.labels(job.kind).observe(job.queue_wait_s)
            if job.run_s is not None:
                self._run.labels(job.kind).observe(job.run_s)
            for stage, seconds in job.stages_s.items():
                self._stages.labels(job.kind, stage).observe(seconds)
        self._counted_until = until
