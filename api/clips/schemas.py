"""Bodies of `/v1/clips`."""

from __future__ import annotations

from datetime import datetime
from enum import IntEnum
from typing import Annotated, Any, Literal, Self, get_args

from pydantic import Discriminator, Field, Tag, model_validator
from pydantic_core import PydanticCustomError

from api.jobs.schemas import Failure, FromBalance, Funding, NewJob
from api.shapes import FORM, Body, ClipIdText, PageQuery, VideoIdText, View
from contracts.kinds.clip import CLIPS_MAX, BytesMax, ClipFormat, ClipSpec, ClipType, check_range
from contracts.kinds.music import HighlightLength, SectionType
from contracts.ledger import CreditEffect

Seconds = Annotated[float, Field(ge=0.0, allow_inf_nan=False, strict=True, examples=[61.5])]
"""Of the video's own timeline."""


class OneHighlight(Body):
    """The best highlight of a length, or a lower one."""

    length: HighlightLength
    type: ClipType = ClipType.BEST
    rank: int = Field(default=0, ge=0, lt=CLIPS_MAX, strict=True)
    """0: the best that fits; 1: the next best ..."""


class OneRange(Body):
    """A range of the user's own, which is cut as it is given."""

    start: Seconds
    end: Seconds

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        check_range(self.start, self.end)
        return self


class Highlights(Body):
    """The best highlights of each length."""

    lengths: tuple[HighlightLength, ...] = Field(default=(30,), min_length=1, max_length=3)
    type: ClipType = ClipType.BEST
    count: int = Field(default=5, ge=1, le=CLIPS_MAX, strict=True)
    """Of each length. Of an analysed video only those are made that exist."""

    @model_validator(mode="after")
    def _not_too_many(self) -> Self:
        if len(set(self.lengths)) * self.count > CLIPS_MAX:
            raise PydanticCustomError(
                "clips_too_many", "a request makes at most {max_clips} clips", {"max_clips": CLIPS_MAX}
            )
        return self


class ClipRequestBase(Body):
    """What every request for clips says."""

    video_id: VideoIdText
    """One of the user's own videos, uploaded and checked before, or a result."""
    format: ClipFormat = ClipFormat.ORIGINAL
    bytes_max: BytesMax | None = None
    """Largest file that the target takes."""
    funding: Funding = FromBalance()


class HighlightRequest(ClipRequestBase, OneHighlight):
    """One highlight."""


class RangeRequest(ClipRequestBase, OneRange):
    """One range."""


class HighlightsRequest(ClipRequestBase):
    """The best highlights of a video."""

    highlights: Highlights


class ClipListRequest(ClipRequestBase):
    """Several clips, each as it is wished; `format` and `bytes_max` are for those that do not say their own."""

    clips: tuple[ClipSpec, ...] = Field(min_length=1, max_length=CLIPS_MAX)


def _what_is_wished(body: Any) -> str:
    """By the fields that are there, so that a mistake is told about the form that was meant."""
    names = set(body) if isinstance(body, dict) else set(dir(body))
    for form, telling in (("clips", {"clips"}), ("highlights", {"highlights"}), ("range", {"start", "end"})):
        if names & telling:
            return FORM + form
    return FORM + "highlight"


ClipRequest = Annotated[
    Annotated[HighlightRequest, Tag(FORM + "highlight")]
    | Annotated[RangeRequest, Tag(FORM + "range")]
    | Annotated[HighlightsRequest, Tag(FORM + "highlights")]
    | Annotated[ClipListRequest, Tag(FORM + "clips")],
    Discriminator(_what_is_wished),
]


class AgainBase(Body):
    format: ClipFormat | None = None
    """By default that of the clip."""


class NextBest(AgainBase):
    """Another highlight of the same length and type."""

    rank: int | None = Field(default=None, ge=0, lt=CLIPS_MAX, strict=True)
    """By default the first after the clip's own that was not made from it before."""


class OtherRange(AgainBase, OneRange):
    """Another range."""


class OtherHighlight(AgainBase, OneHighlight):
    """A highlight of another length or type."""


def _what_is_wished_again(body: Any) -> str:
    names = set(body) if isinstance(body, dict) else set(dir(body))
    if names & {"start", "end"}:
        return FORM + "range"
    return FORM + ("highlight" if names & {"length", "type"} else "next")


AgainRequest = Annotated[
    Annotated[NextBest, Tag(FORM + "next")]
    | Annotated[OtherRange, Tag(FORM + "range")]
    | Annotated[OtherHighlight, Tag(FORM + "highlight")],
    Discriminator(_what_is_wished_again),
]


class Clip(View):
    """A clip, from the moment it is asked for. Times are seconds on the timeline of its video."""

    id: str
    video_id: str
    job_id: str
    """The job that makes it, perhaps with others: its progress, and what cancels it."""
    state: Literal["pending", "ready", "failed"]
    credit_effect: CreditEffect
    """What became of `credits`: `held`, `captured`, `released`; `none` also while a card has not paid yet."""
    credits: int
    """Its price; 0 when it is regenerated for nothing. Taken only when it is made."""
    wish: ClipSpec
    """What was asked for."""
    type: SectionType | None
    """Of the section that fills most of it; null until it is made, and without an analysis."""
    length: HighlightLength | None
    """Null for a range of the user's own."""
    format: ClipFormat
    start: float | None
    """Of its first frame; null until a highlight has been chosen."""
    end: float | None
    duration: float | None
    width: int | None
    height: int | None
    bytes: int | None
    sha256: str | None
    copied: Literal["all", "inner", "none"] | None
    """How much of the picture was taken over without coding it anew; `inner`: all but the edges."""
    failure: Failure | None
    regenerated_from: str | None
    free_regeneration_until: datetime | None
    """Until then it is regenerated once for nothing; null when that is used up, over or not yet so."""
    created_at: datetime
    ready_at: datetime | None
    expires_at: datetime | None
    """When its files are deleted."""
    clip_url: str
    job_url: str
    download_url: str
    preview_url: str
    poster_url: str
    regenerate_url: str
    share_url: str
    shares_url: str


class NewClips(View):
    """A job that was just taken on, and the clips that it will make, in the order of the wishes."""

    job: NewJob
    clips: tuple[Clip, ...]


class ClipPage(View):
    data: tuple[Clip, ...]
    has_more: bool


class ClipLength(IntEnum):
    """An enum, since a query's text is never equal to a literal number."""

    FIFTEEN = 15
    THIRTY = 30
    SIXTY = 60


assert {length.value for length in ClipLength} == set(get_args(HighlightLength)), "the same lengths"

ClipStateName = Literal["pending", "ready", "failed"]


class ClipQuery(PageQuery[ClipIdText]):
    """Filters of a list of clips; several values mean any of them."""

    type: list[SectionType] = Field(default=[])
    length: list[ClipLength] = Field(default=[])
    format: list[ClipFormat] = Field(default=[])
    state: list[ClipStateName] = Field(default=[])
