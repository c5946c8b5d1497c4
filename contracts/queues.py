"""Names of the Temporal task queues; `worker/` maps each role to one of them."""

from __future__ import annotations

from enum import StrEnum


class Queue(StrEnum):
    CORE = "core"
    """Workflows and short database steps."""
    TRANSFER = "transfer"
    """I/O and ffmpeg: ingest, plan, mux, thumbnails."""
    GPU = "gpu"
    """Pixels: enhancement and every later neural engine (CUDA when present, else CPU)."""
    PROVIDERS = "providers"
    """Calls to outside services."""
