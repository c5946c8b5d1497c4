"""What a job is made from: a file on this disk, or a video that is on the platform already."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cli.context import Context
from cli.videofile import VideoFile, inspect, sha256_of
from contracts.kinds import JobKind

VIDEO_ID = re.compile("vid_[0-9a-f]{32}")


@dataclass(frozen=True)
class Source:
    given: str
    """As the user has named it."""
    stem: str
    """What names of results begin with."""
    file: VideoFile | None
    """None: `given` is the id of a video."""


def source_of(context: Context, given: str, kind: JobKind) -> Source:
    """Raises `Stop` for what is plainly no video file, and for an id that is none of the user's."""
    if VIDEO_ID.fullmatch(given) and not Path(given).exists():
        return Source(given, Path(context.api.get(f"/v1/videos/{given}")["filename"]).stem, None)
    path = Path(given)
    return Source(given, path.stem, inspect(path, context.messages, kind.needs))


def announced(context: Context, source: Source) -> dict[str, Any]:
    """`source` of a request for a job; of a file every byte is read for it."""
    file, done = source.file, 0
    if file is None:
        return {"video_id": source.given}

    def count(size: int) -> None:
        nonlocal done
        done += size
        on_bytes(done)

    with context.screen.bytes_bar(context.messages("checking"), file.bytes) as on_bytes:
        sha256 = sha256_of(file.path, count)
    upload = {
        "filename": file.path.name,
        "bytes": file.bytes,
        "content_type": file.content_type,
        "sha256": sha256,
        "duration_ms": file.duration_ms,
    }
    return {"upload": upload}
