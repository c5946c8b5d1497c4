"""`enhance`: 2x resolution at 60 fps. The user's wishes, and the plan that cuts the work into segments."""

from __future__ import annotations

from typing import Literal

from pydantic import Field

from contracts.base import Contract
from contracts.kinds.base import JobKind, JobParams, Need
from contracts.media import Artifact, EngineUse, Rational
from contracts.pricing import PerMinute

Upscaler = Literal["animevideov3", "x4plus", "lanczos"]


class EnhanceParams(JobParams):
    """What a user may ask of an enhancement."""

    scale: Literal[1, 2] = 2
    """Factor of width and height."""
    fps: Literal["60", "2x", "source"] = "60"
    """`60`: exactly 60, rates above 60 are kept. `2x`: twice the source. `source`: no interpolation."""
    upscaler: Upscaler = "animevideov3"
    strength: float = Field(default=1.0, ge=0.0, le=1.0, strict=True)
    """0: plain Lanczos enlargement, 1: the network's picture, between: a blend of both."""


class SegmentSpec(Contract):
    """One stretch of the output timeline, half-open, that any worker can make alone.

    Output frame k is shown at `start_s + k / fps_out`. The segment makes output frames
    [out_first, out_end) and decodes the source frames that cover them, one past its end included, so that
    frames interpolated across the seam equal those of an unsegmented run.
    """

    index: int
    out_first: int
    out_end: int
    src_first_pts: int
    """In the stream's time base: the source frame shown at `out_first`."""
    src_last_pts: int
    """The last source frame needed, overlap included."""
    seek_pts: int
    """Key frame at or before `src_first_pts` at which decoding starts."""
    src_frames: int
    """Source frames to upscale, overlap included: the unit of progress."""


class EnhancePlan(Contract):
    """The whole cut of a job. `fingerprint` covers everything that decides a pixel."""

    fingerprint: str
    fps_out: Rational
    width_out: int
    """Coded size of the result, even numbers."""
    height_out: int
    out_frames: int
    src_frames: int
    time_base: Rational
    src_start_pts: int
    src_end_pts: int
    """End of the last source frame: its pts plus its own duration."""
    nominal_gap_pts: int
    """Median distance of source frames; much longer gaps are freezes, not motion."""
    segments: tuple[SegmentSpec, ...]


class SegmentStats(Contract):
    """What an engine reports of one finished segment file; with its artifact it becomes a `SegmentResult`."""

    frames: int
    cuts: int = 0
    """Scene cuts found, where the picture was held instead of interpolated."""
    engines: tuple[EngineUse, ...] = ()
    wall_ms: int = 0
    upscale_ms: int = 0
    interpolate_ms: int = 0


class SegmentResult(Contract):
    index: int
    artifact: Artifact
    frames: int
    cuts: int = 0
    """Scene cuts found, where the picture was held instead of interpolated."""
    engines: tuple[EngineUse, ...] = ()
    wall_ms: int = 0
    upscale_ms: int = 0
    interpolate_ms: int = 0
    reused: bool = False
    """True when a finished segment was found in the store and nothing was computed."""


ENHANCE = JobKind(
    name="enhance",
    params=EnhanceParams,
    stages=("ingest", "upscale", "interpolate", "mux"),
    needs=frozenset({Need.PICTURE}),
    price=PerMinute(10),
    title_en="Enhance",
    title_ko="화질 향상",
)
