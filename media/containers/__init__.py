"""What a file's own headers claim, read without ffmpeg: refused here, a hostile file never reaches a decoder.

One module per family: `isobmff` (MP4, MOV, M4A), `ebml` (Matroska, WebM), `riff` (AVI), `wave`, `mpeg` (MP3), `flac`,
`ogg`. Each has `inspect(file, size) -> Headers`, reads only headers, and raises EchoError: TRUNCATED when the structure
points past the end of the file, EXTERNAL_REFERENCE when the pictures are elsewhere, CORRUPT when it is nonsense.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Headers:
    """Claims, not measurements: the largest picture of any track (0 x 0 of sound), and the longest duration."""

    width: int = 0
    height: int = 0
    duration_s: float = 0.0
    """0 when the headers do not say (live recordings, Ogg, many MP3)."""
