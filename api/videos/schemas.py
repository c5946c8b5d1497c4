"""Bodies of `/v1/videos`."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from api.shapes import View
from contracts.media import MediaInfo


class Video(View):
    """An uploaded source or a result."""

    id: str
    role: Literal["source", "result"]
    state: Literal["pending", "uploaded", "ready", "rejected", "deleted"]
    filename: str
    content_type: str
    bytes: int
    sha256: str | None
    """As measured; null until the file has been checked."""
    info: MediaInfo | None
    job_id: str | None
    """Of a result: the job that made it."""
    created_at: datetime
    expires_at: datetime | None
    result_url: str | None


class VideoPage(View):
    data: tuple[Video, ...]
    has_more: bool
