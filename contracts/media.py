"""What media engines say about files: probe, limits, verification, manifest. Times are exact rationals."""

from __future__ import annotations

from fractions import Fraction
from typing import Annotated, Any, Literal

from pydantic import BeforeValidator, Field, PlainSerializer, WithJsonSchema

from contracts.base import Contract
from contracts.errors import Code, EchoError


def _fraction(value: object) -> object:
    return Fraction(value) if isinstance(value, str | int) else value


Rational = Annotated[
    Fraction,
    BeforeValidator(_fraction),
    PlainSerializer(str, return_type=str),
    WithJsonSchema({"type": "string", "pattern": r"^-?\d+(/\d+)?$", "examples": ["60", "30000/1001"]}),
]
"""Exact rational, as "30000/1001" in JSON. Seconds or frames per second, as the field's name says."""

ContainerName = Literal["mp4", "mov", "avi", "mkv", "webm", "mp3", "wav", "flac", "ogg"]
"""An M4A is an `mp4`; any of the first five may also hold sound alone."""


class MediaLimits(Contract):
    """What a source may be at most. Checked from headers before a frame is decoded."""

    duration_s_max: int = 7200
    pixels_max: int = 4096 * 2304
    side_px_max: int = 8192
    side_px_min: int = 16
    fps_max: int = 240
    bytes_max: int = 5 * 1024**3


class ColorInfo(Contract):
    """FFmpeg's names of the stream's colour tags, 'unknown' where the file says nothing."""

    range: str = "unknown"
    matrix: str = "unknown"
    primaries: str = "unknown"
    transfer: str = "unknown"


class VideoInfo(Contract):
    codec: str
    pixel_format: str
    bit_depth: int
    width: int
    """Coded width in pixels, before rotation."""
    height: int
    rotation_deg: Literal[0, 90, 180, 270] = 0
    """Clockwise turn that a player applies for display."""
    mirrored: bool = False
    """A player also mirrors the picture left to right, before the turn (front cameras)."""
    sample_aspect: Rational = Fraction(1)
    average_fps: Rational
    frame_count: int
    """Frames that will be shown, counted from packets inside the edit list."""
    start_s: Rational
    """Presentation time of the first frame."""
    duration_s: Rational
    """From the first frame's start to the last frame's end."""
    variable_rate: bool
    color: ColorInfo = ColorInfo()
    hdr: bool = False
    """True for PQ and HLG transfer."""


class AudioInfo(Contract):
    stream_index: int = 0
    """Number of the stream in the file. Tracks without sound, or in an unknown coding, are not listed."""
    codec: str
    sample_rate: int
    channels: int
    start_s: Rational
    duration_s: Rational
    language: str = ""


class MediaInfo(Contract):
    """What is in a file, as measured on its packets, not as its headers claim."""

    container: ContainerName
    bytes: int
    sha256: str
    duration_s: Rational
    video: VideoInfo | None = None
    """None for a recording without picture; the cover of an album is none."""
    audio: tuple[AudioInfo, ...] = ()

    @property
    def picture(self) -> VideoInfo:
        """For engines that need one. Raises EchoError NO_VIDEO."""
        if self.video is None:
            raise EchoError(Code.NO_VIDEO, f"a recording ({self.container}) without picture")
        return self.video


class Check(Contract):
    """One verified fact about a result."""

    name: str
    expected: str
    found: str
    ok: bool


class Verification(Contract):
    checks: tuple[Check, ...]

    @property
    def ok(self) -> bool:
        return all(check.ok for check in self.checks)


class EngineUse(Contract):
    """An engine that touched pixels or listened: named in the manifest with version and hash of its weights."""

    role: Literal["decode", "upscale", "interpolate", "encode", "analyse"]
    name: str
    version: str
    weights_sha256: str = ""
    device: str = "cpu"


class Artifact(Contract):
    """A stored object that was written whole: key in the store, size and hash as read back."""

    key: str
    bytes: int
    sha256: str
    content_type: str = "application/octet-stream"


class Picture(Contract):
    """A still in a local file, as it is to be shown: rotation and pixel aspect applied."""

    path: str
    width: int
    height: int


class Thumbnail(Contract):
    at_percent: Literal[10, 50, 90]
    artifact: Artifact
    width: int
    height: int


class Manifest(Contract):
    """`manifest.json` beside each result: from what, by what, and how it was checked."""

    schema_version: Literal[1] = 1
    job_id: str
    kind: str
    params: dict[str, Any]
    source: MediaInfo
    result: MediaInfo
    engines: tuple[EngineUse, ...]
    verification: Verification
    segments: int
    thumbnails: tuple[Thumbnail, ...] = ()
    created_at: str = Field(description="UTC, ISO 8601")
