"""`clip`: short cuts from a video, for social media. The wishes, and what is made of them.

All times are seconds on the video's own timeline, which begins at 0 with its first frame.
"""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum
from typing import Annotated, Literal, Self

from pydantic import Field, model_validator
from pydantic_core import PydanticCustomError

from contracts.base import Contract
from contracts.errors import Code, EchoError
from contracts.kinds.base import JobKind, JobParams, Need
from contracts.kinds.music import Analysis, HighlightLength, SectionType
from contracts.media import Artifact, EngineUse, MediaInfo, Verification
from contracts.pricing import PerPiece
from contracts.ranges import judged, refuse_longer

CLIP_S_MIN = 1.0
CLIP_S_MAX = 180.0
CLIPS_MAX = 20
"""Of one job."""
BytesMax = Annotated[int, Field(ge=1_000_000, le=1_000_000_000_000, strict=True)]
"""A bound on a file's size; no site takes a terabyte."""
FREE_REGENERATION = timedelta(hours=24)
"""After a clip that was paid for is ready: once within this time it is made again for nothing (migration 0015)."""


class ClipFormat(StrEnum):
    ORIGINAL = "original"
    """Size and coding of the source, its picture copied where possible."""
    VERTICAL = "vertical"
    """9:16, 1080x1920."""
    SQUARE = "square"
    """1:1, 1080x1080."""
    LANDSCAPE = "landscape"
    """16:9, 1920x1080."""


SIZE_CAPS: dict[ClipFormat, int] = {
    ClipFormat.VERTICAL: 100_000_000,
    ClipFormat.SQUARE: 100_000_000,
    ClipFormat.LANDSCAPE: 512_000_000,
}
"""Bytes that the sites for which a format is made take at least: Instagram 100 MB, X 512 MB (TikTok and YouTube take
more). Most clips are far below; long ones of busy pictures are coded to fit."""


class ClipType(StrEnum):
    INTRO = "intro"
    CHORUS = "chorus"
    CLIMAX = "climax"
    BRIDGE = "bridge"
    BEST = "best"
    """The best highlight, whatever section it lies in."""


TYPES = {
    ClipType.INTRO: (SectionType.INTRO,),
    # The climax is a chorus: the greatest.
    ClipType.CHORUS: (SectionType.CHORUS, SectionType.CLIMAX),
    ClipType.CLIMAX: (SectionType.CLIMAX,),
    ClipType.BRIDGE: (SectionType.BRIDGE,),
    ClipType.BEST: tuple(SectionType),
}
"""The sections that a clip of a type may lie in."""


def check_range(start: float, end: float) -> None:
    """Raises what a pydantic validator may raise."""
    if start >= end:
        raise PydanticCustomError("start_not_before_end", "start must come before end")
    if not CLIP_S_MIN <= end - start <= CLIP_S_MAX:
        raise PydanticCustomError(
            "clip_duration",
            "a clip lasts {min_s} to {max_s} seconds",
            {"min_s": f"{CLIP_S_MIN:g}", "max_s": f"{CLIP_S_MAX:g}"},
        )


class ClipSpec(Contract):
    """One clip: a highlight of a type and length, or a range of the user's own."""

    length: HighlightLength | None = None
    type: ClipType | None = None
    """With `length`; `best` when only the length is given."""
    rank: int = Field(default=0, ge=0, lt=CLIPS_MAX, strict=True)
    """0: the best that fits; 1: the next best ..."""
    start: float | None = Field(default=None, ge=0.0, allow_inf_nan=False, strict=True)
    end: float | None = Field(default=None, ge=0.0, allow_inf_nan=False, strict=True)
    """With `start`; such a range is cut as it was given, not moved to bars."""
    format: ClipFormat = ClipFormat.ORIGINAL
    bytes_max: BytesMax | None = None
    """Largest file that the target takes; None: that of the format."""

    @model_validator(mode="after")
    def _one_way_to_choose(self) -> Self:
        ranged = self.start is not None or self.end is not None
        if ranged == (self.length is not None):
            raise PydanticCustomError("one_choice", "give either length (with type) or start and end")
        if self.length is None and (self.type is not None or self.rank):
            raise PydanticCustomError("goes_with_length", "type and rank go with length")
        if self.start is not None and self.end is not None:
            check_range(self.start, self.end)
        elif ranged:
            raise PydanticCustomError("range_incomplete", "start and end go together")
        return self


class ClipParams(JobParams):
    clips: tuple[ClipSpec, ...] = Field(min_length=1, max_length=CLIPS_MAX)
    regenerates: str | None = None
    """The clip that the only one of `clips` is made again from."""

    @model_validator(mode="after")
    def _one_for_one(self) -> Self:
        if self.regenerates is not None and len(self.clips) != 1:
            raise ValueError("one clip is regenerated at a time")
        return self


class CropPoint(Contract):
    """Where the middle of the crop lies at a time; between two points it moves straight."""

    at_s: float
    x: float = Field(ge=0.0, le=1.0)
    """Of the shown picture's width, rotation applied: 0 is its left edge."""
    y: float = Field(ge=0.0, le=1.0)


class Cut(Contract):
    """What the engine is asked for: a range that has been chosen and judged."""

    start_s: float
    end_s: float
    format: ClipFormat
    bytes_max: int | None = None
    fade_s: float = 0.0
    """Of picture and sound, at both ends. Copied pictures that nothing can be joined to (HEVC) stay as they are."""
    path: tuple[CropPoint, ...] = ()
    """Empty: the middle of the picture."""
    lufs: float | None = -14.0
    """Loudness of the sound; None: as it is."""


class ClipFile(Contract):
    """What the engine made of a `Cut`: local files, complete and synced."""

    start_s: float
    """Of the first frame that is in it, on the source's timeline."""
    end_s: float
    width: int
    height: int
    copied: Literal["all", "inner", "none"]
    """How much of the picture was taken over without coding it anew; `inner`: all but the edges."""
    info: MediaInfo
    verification: Verification
    video: str
    preview: str
    """Three seconds at 320 pixels, a loop of animated WebP."""
    poster: str


class ClipMade(Contract):
    """A clip in the store."""

    position: int
    """Index of its wish in `ClipParams.clips`."""
    start_s: float
    """Of the first frame that is in it, on the source's timeline."""
    end_s: float
    type: SectionType | None
    """Of the section that fills most of it; None without an analysis."""
    format: ClipFormat
    width: int
    height: int
    copied: Literal["all", "inner", "none"]
    video: Artifact
    preview: Artifact
    poster: Artifact
    info: MediaInfo
    verification: Verification
    engines: tuple[EngineUse, ...] = ()


class ClipFailed(Contract):
    """A wish that could not be fulfilled; nothing is charged for it."""

    position: int
    code: str
    fields: dict[str, str | int] = Field(default_factory=dict)


class Clips(Contract):
    """What a job of this kind has made: each wish is in one of both lists."""

    made: tuple[ClipMade, ...]
    failed: tuple[ClipFailed, ...] = ()
    analysis: Analysis | None = None
    """When the wishes needed one and the video had none: it is the video's from now on."""


def _pieces(params: ClipParams) -> int:
    return len(params.clips)


def _refuse_impossible(params: ClipParams, info: MediaInfo) -> None:
    """Raises CLIP_LONGER_THAN_VIDEO, RANGE_OUTSIDE, and NO_AUDIO when sections are spoken of."""
    duration_s = float(info.picture.duration_s)
    for wish in params.clips:
        if wish.start is not None and wish.end is not None:
            judged(wish.start, wish.end, duration_s)
        elif wish.length is not None:
            refuse_longer(wish.length, duration_s)
            if not info.audio:
                raise EchoError(Code.NO_AUDIO, "sections are found by ear")


CLIP = JobKind(
    name="clip",
    params=ClipParams,
    stages=("ingest", "analyse", "cut"),
    needs=frozenset({Need.PICTURE}),
    price=PerPiece(3, _pieces),
    title_en="Clips",
    title_ko="클립",
    pages=("clips",),
    refuse_impossible=_refuse_impossible,
)
