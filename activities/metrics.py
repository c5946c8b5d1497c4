"""What a worker counts about itself, for Prometheus. Counts over all jobs come from the database, in the API."""

from __future__ import annotations

from prometheus_client import Counter, Histogram

UNITS_DONE = Counter(
    "echoshot_stage_units_total",
    "Work done, in the unit of its stage: frames, bytes at ingest, hundredths of an analysis or a clip",
    ["stage"],
)
SEGMENT_SECONDS = Histogram(
    "echoshot_segment_seconds",
    "Wall time of one segment, fetch to stored",
    ["upscaler"],
    buckets=(1, 3, 10, 30, 100, 300, 1000, 3000),
)
SEGMENTS_REUSED = Counter("echoshot_segments_reused_total", "Segments found finished in the store")
QUEUE_WAIT_SECONDS = Histogram(
    "echoshot_queue_wait_seconds",
    "From scheduling a step to a worker taking it",
    ["step"],
    buckets=(0.01, 0.1, 1, 10, 60, 600, 3600),
)
STEP_FAILURES = Counter("echoshot_step_failures_total", "Failed attempts of steps", ["step", "code"])
JOBS_SWEPT = Counter(
    "echoshot_jobs_swept_total",
    "Jobs that the sweeper started, told of their upload, settled for a closed workflow, or failed on",
    ["action"],
)
for action in ("started", "told", "settled", "failed"):
    JOBS_SWEPT.labels(action)  # from zero on, so that the first one is seen as an increase
