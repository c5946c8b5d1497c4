"""From a wish for clips to the job that makes them. What can be refused is refused here, before anything is held."""

from __future__ import annotations

from collections.abc import Collection
from itertools import product

from sqlalchemy.ext.asyncio import AsyncSession

from api.auth import Caller
from api.clips import schemas
from api.clips.reading import own_clip
from api.jobs.creating import Opened, existing, open_requested
from api.jobs.schemas import ExistingVideo, FromBalance, JobRequestBase
from contracts.errors import Code, EchoError
from contracts.ids import PurchaseId
from contracts.kinds import CLIP
from contracts.kinds.clip import CLIPS_MAX, TYPES, ClipParams, ClipSpec, ClipType
from contracts.kinds.music import MusicSummary
from contracts.kinds.sections import with_sections
from contracts.media import MediaInfo
from contracts.pricing import Quote
from contracts.ranges import fits
from contracts.settings import Settings
from db import clips, music, purchases
from db.jobs import get_job
from db.tables import Video
from db.tables_clips import ClipState
from db.tables_money import Purchase

Wishes = tuple[ClipSpec, ...]

FREE = Quote(credits=0, pieces=1, credits_per_piece=0, basis="measured")


async def open_clips(
    session: AsyncSession,
    body: schemas.ClipRequestBase,
    caller: Caller,
    purchase_id: PurchaseId,
    settings: Settings,
) -> Opened:
    """One job for all clips of the request: one price, held or charged at once."""
    known = await purchases.get(session, purchase_id)
    if known is not None:
        wishes = await _wished_before(session, known, body)
    else:
        video = await existing(session, body.video_id, caller.user_id)
        wishes = await _wishes_that_exist(session, body, video)
        CLIP.refuse_impossible(ClipParams(clips=wishes), _info(video))
        if isinstance(body, schemas.HighlightRequest):
            await _refuse_missing(session, wishes[0], video)
    request = JobRequestBase(
        kind=CLIP.name,
        params=ClipParams(clips=wishes),
        source=ExistingVideo(video_id=body.video_id),
        funding=body.funding,
    )
    return await open_requested(session, request, caller, purchase_id, settings)


async def open_again(
    session: AsyncSession,
    clip_id: str,
    body: schemas.AgainBase,
    caller: Caller,
    purchase_id: PurchaseId,
    settings: Settings,
) -> Opened:
    """A clip in place of another, free when the other may still be regenerated so. Paid from the balance: one clip
    costs less than any card is charged."""
    # Locked: of two requests at once, the second finds the free clip of the first.
    before = await own_clip(session, clip_id, caller, lock=True)
    if before.state is ClipState.PENDING:
        raise EchoError(Code.JOB_STATE_CONFLICT, f"clip {clip_id} is pending", {"job_id": before.job_id})
    made = await clips.ranks_made_again(session, before)
    wish = wished_again(before.spec, body, made)
    video = await existing(session, before.video_id, caller.user_id)
    params = ClipParams(clips=(wish,), regenerates=before.id)
    CLIP.refuse_impossible(params, _info(video))
    await _refuse_missing(session, wish, video)
    request = JobRequestBase(
        kind=CLIP.name,
        params=params,
        source=ExistingVideo(video_id=video.id),
        funding=FromBalance(),
    )
    free = await clips.may_be_free(session, before.id)
    return await open_requested(session, request, caller, purchase_id, settings, FREE if free else None)


def wished(body: schemas.ClipRequestBase) -> Wishes:
    """Every clip that the request speaks of."""
    shape = {"format": body.format, "bytes_max": body.bytes_max}
    match body:
        case schemas.HighlightRequest():
            return (ClipSpec(length=body.length, type=body.type, rank=body.rank, **shape),)
        case schemas.RangeRequest():
            return (ClipSpec(start=body.start, end=body.end, **shape),)
        case schemas.HighlightsRequest(highlights=asked):
            lengths = dict.fromkeys(asked.lengths)
            return tuple(
                ClipSpec(length=length, type=asked.type, rank=rank, **shape)
                for length, rank in product(lengths, range(asked.count))
            )
        case schemas.ClipListRequest():
            return tuple(
                wish.model_copy(update={k: v for k, v in shape.items() if k not in wish.model_fields_set})
                for wish in body.clips
            )
        case _:
            raise TypeError(f"{type(body).__name__} wishes for no clips")


def wished_again(before: ClipSpec, body: schemas.AgainBase, made: Collection[int] = ()) -> ClipSpec:
    """`made`: ranks that were made from this clip already, so that nobody pays for the same one twice.

    Raises RANGE_NEEDED, and NO_SUCH_HIGHLIGHT beyond the last rank there can be.
    """
    shape = {"format": body.format or before.format, "bytes_max": before.bytes_max}
    match body:
        case schemas.OtherRange():
            return ClipSpec(start=body.start, end=body.end, **shape)
        case schemas.OtherHighlight():
            return ClipSpec(length=body.length, type=body.type, rank=body.rank, **shape)
        case schemas.NextBest(rank=rank):
            if before.length is None:
                raise EchoError(Code.RANGE_NEEDED)
            rank = max({before.rank, *made}) + 1 if rank is None else rank
            if rank >= CLIPS_MAX:
                raise EchoError(Code.NO_SUCH_HIGHLIGHT, f"rank {rank}")
            return before.model_copy(update={"rank": rank, **shape})
        case _:
            raise TypeError(f"{type(body).__name__} wishes for no clip")


async def _refuse_missing(session: AsyncSession, wish: ClipSpec, video: Video) -> None:
    """Raises NO_SUCH_HIGHLIGHT for a highlight that an analysed video cannot have: candidates are its highlights and
    the beginnings of its fitting sections."""
    known = await _music(session, video) if wish.length is not None else None
    if known is None:
        return
    wanted = wish.type or ClipType.BEST
    types = TYPES[wanted]
    highlights = sum(h.length_s == wish.length and h.type in types for h in known.highlights)
    candidates = highlights + sum(section.type in types for section in known.sections)
    if wish.rank >= candidates:
        fields: dict[str, str | int] = {"clip_type": wanted.value}
        if not candidates:
            fields["found"] = 0
        raise EchoError(Code.NO_SUCH_HIGHLIGHT, f"{candidates} at most, rank {wish.rank}", fields)


async def _wished_before(session: AsyncSession, known: Purchase, body: schemas.ClipRequestBase) -> Wishes:
    """Of a late repeat of a request that a card has paid: the wishes of its job, although the video may have been
    analysed since and today fewer of them would be taken on. `open_requested` judges whether all else is the same."""
    wishes = wished(body)
    job = await get_job(session, known.job_id) if known.job_id else None
    if job is None or job.kind != CLIP.name or not isinstance(body, schemas.HighlightsRequest):
        return wishes
    taken = ClipParams.model_validate(job.params).clips
    return taken if set(taken) <= set(wishes) else wishes


async def _wishes_that_exist(session: AsyncSession, body: schemas.ClipRequestBase, video: Video) -> Wishes:
    """Of a batch of highlights only those that the video has room for and, once it is analysed, seems to have."""
    wishes = wished(body)
    if not isinstance(body, schemas.HighlightsRequest):
        return wishes
    duration_s = _duration_s(_info(video))
    with_room = tuple(wish for wish in wishes if wish.length and fits(wish.length, duration_s))
    known = await _music(session, video)
    if known is None or not with_room:
        return with_room or wishes
    types = TYPES[body.highlights.type]
    # Beginnings of fitting sections are candidates too; among all sections the highlights are enough.
    more = (
        0
        if body.highlights.type is ClipType.BEST
        else sum(section.type in types for section in known.sections)
    )
    found = {
        length: sum(h.length_s == length and h.type in types for h in known.highlights) + more
        for length in body.highlights.lengths
    }
    existing_ones = tuple(wish for wish in with_room if wish.length and wish.rank < found[wish.length])
    if not existing_ones:
        fields: dict[str, str | int] = {"clip_type": body.highlights.type.value, "found": 0}
        raise EchoError(Code.NO_SUCH_HIGHLIGHT, "the analysis has none", fields)
    return existing_ones


async def _music(session: AsyncSession, video: Video) -> MusicSummary | None:
    """As the worker will see it: with the sections as they are now. None for a video that was not analysed."""
    known = await music.latest(session, video.id)
    return None if known is None else with_sections(known[0].summary, known[1])


def _info(video: Video) -> MediaInfo:
    assert video.info is not None, "measured when it was checked"
    return video.info


def _duration_s(info: MediaInfo) -> float:
    return float(info.picture.duration_s)
