"""Clips as their owner sees them. They are opened and made by db/products/clip.py, with the job that pays for them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import ColumnElement, and_, case, exists, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import aliased

from contracts.ids import ClipId, JobId, UserId, VideoId
from contracts.kinds.clip import FREE_REGENERATION, ClipFormat, ClipType
from contracts.kinds.music import SectionType
from db import pages
from db.pages import Page, Rows
from db.tables import Job
from db.tables_clips import Clip, ClipState


@dataclass(frozen=True)
class Standing:
    """What a clip's own row does not say."""

    held: bool
    """Whether credits were ever held for its job: not while a card has not paid, nor when it costs nothing."""
    free_until: datetime | None
    """Until then it is regenerated for nothing; None: no more, not yet, or never."""
    filename: str
    """Of its source."""


async def get_clip(
    session: AsyncSession, user_id: UserId, clip_id: ClipId, *, lock: bool = False
) -> Clip | None:
    """None also for another user's clip and for one that is deleted. With `lock` nobody changes or regenerates it
    before this transaction ends."""
    query = select(Clip).where(Clip.id == clip_id, Clip.user_id == user_id, Clip.state != ClipState.DELETED)
    if lock:
        query = query.with_for_update(key_share=True)
    return await session.scalar(query.execution_options(populate_existing=True))


async def of_job(session: AsyncSession, job_id: JobId) -> Sequence[Clip]:
    """In the order of the wishes, deleted ones left out."""
    query = select(Clip).where(Clip.job_id == job_id, Clip.state != ClipState.DELETED)
    return (await session.scalars(query.order_by(Clip.position))).all()


async def list_clips(
    session: AsyncSession,
    user_id: UserId,
    video_id: VideoId,
    page: Page,
    *,
    types: Collection[SectionType] = (),
    lengths: Collection[int] = (),
    formats: Collection[ClipFormat] = (),
    states: Collection[ClipState] = (),
) -> Rows[Clip]:
    """Of a video, deleted ones left out; an empty filter lets all pass."""
    query = select(Clip).where(
        Clip.video_id == video_id, Clip.user_id == user_id, Clip.state != ClipState.DELETED
    )
    for column, values in (
        (Clip.type, types), (Clip.length, lengths), (Clip.format, formats), (Clip.state, states),
    ):  # fmt: skip
        if values:
            query = query.where(column.in_(values))
    return await pages.fetch(session, query, Clip.id, page, "clp")


async def standings(session: AsyncSession, clips: Collection[Clip]) -> dict[ClipId, Standing]:
    """Of many clips in one query."""
    free_until = case((_may_be_free(), Clip.ready_at + FREE_REGENERATION))
    query = (
        select(Clip.id, Job.hold_id.is_not(None), free_until, Job.filename)
        .join(Job, Job.id == Clip.job_id)
        .where(Clip.id.in_([clip.id for clip in clips]))
    )
    rows = (await session.execute(query)).all()
    return {clip_id: Standing(held, until, filename) for clip_id, held, until, filename in rows}


async def ranks_made_again(session: AsyncSession, before: Clip) -> set[int]:
    """Of the highlights of the same length and type that were made, or are being made, from this clip; one that was
    deleted was seen and not liked."""
    query = select(Clip.spec).where(
        Clip.regenerated_from == before.id, Clip.state != ClipState.FAILED, Clip.length == before.length
    )
    best = ClipType.BEST
    return {
        spec.rank
        for spec in await session.scalars(query)
        if (spec.type or best) == (before.spec.type or best)
    }


async def may_be_free(session: AsyncSession, clip_id: ClipId) -> bool:
    """Whether this clip, which the caller has locked, is now regenerated for nothing. Migration 0015 has the same rule
    and the last word."""
    query = select(Clip.id).where(Clip.id == clip_id, _may_be_free())
    return await session.scalar(query) is not None


def _may_be_free() -> ColumnElement[bool]:
    """Paid for, ready for less than a day, and without a free successor; one that failed does not count."""
    again = aliased(Clip)
    used = exists().where(again.regenerated_from == Clip.id, again.credits == 0, again.failure_code.is_(None))
    return and_(Clip.credits > 0, Clip.ready_at > func.now() - FREE_REGENERATION, ~used)


async def mark_deleted(session: AsyncSession, clip: Clip) -> None:
    await session.execute(
        update(Clip).where(Clip.id == clip.id).values(state=ClipState.DELETED, deleted_at=func.now())
    )
