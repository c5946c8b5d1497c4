"""Bodies of `/v1/videos/{id}/uploads`: resumable uploads in parts."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import Field

from api.shapes import Body, View

PartNumber = Annotated[int, Field(ge=1, le=10_000)]
SIGNED_AT_ONCE_MAX = 500


class Upload(View):
    """An open multipart upload. Every part but the last has `part_bytes` bytes."""

    upload_id: str
    video_id: str
    part_bytes: int
    parts_total: int
    parts_url: str
    complete_url: str


class PartsRequest(Body):
    numbers: list[PartNumber] = Field(min_length=1, max_length=SIGNED_AT_ONCE_MAX, examples=[[1, 2, 3]])


class PartTarget(View):
    """A presigned PUT of one part; its length is part of the signature."""

    number: int
    bytes: int
    url: str
    headers: dict[str, str]
    expires_at: datetime


class PartTargets(View):
    parts: tuple[PartTarget, ...]


class StoredPart(View):
    number: int
    bytes: int
    etag: str


class StoredParts(View):
    """What the store already has of an upload: a resumed client sends the rest."""

    part_bytes: int
    parts_total: int
    parts: tuple[StoredPart, ...]
