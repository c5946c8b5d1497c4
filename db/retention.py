"""What may be deleted from the store. The caller deletes the objects before the transaction that marks them commits:
a crash in between deletes them again, which the store allows, whereas a mark without deletion would keep them for
ever."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta

from sqlalchemy import exists, func, select
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.ids import JobId, VideoId
from db import jobs, results, videos
from db.products import product_of
from db.tables import Job, Result, Video, VideoRole, VideoState

BATCH = 100
"""Rows at a time."""


async def expired_results(session: AsyncSession) -> list[Video]:
    """Results past their time; one that is the source of an active job is kept until that job has ended."""
    read = exists().where(Job.video_id == Video.id, Job.finished_at.is_(None))
    query = select(Video).where(
        Video.role == VideoRole.RESULT,
        Video.state != VideoState.DELETED,
        Video.expires_at < func.now(),
        ~read,
    )
    return list((await session.scalars(query.order_by(Video.expires_at).limit(BATCH))).all())


async def unused_sources(session: AsyncSession, *, days: int) -> list[Video]:
    """Sources older than `days` that no active job needs and that no job has used within that time."""
    since = func.now() - timedelta(days=days)
    needed = exists().where(Job.video_id == Video.id, Job.finished_at.is_(None) | (Job.finished_at >= since))
    query = select(Video).where(
        Video.role == VideoRole.SOURCE,
        Video.state != VideoState.DELETED,
        Video.created_at < since,
        ~needed,
    )
    return list((await session.scalars(query.order_by(Video.created_at).limit(BATCH))).all())


async def expired_products(session: AsyncSession) -> list[Job]:
    """Jobs whose result is no video and past its time."""
    query = (
        select(Job)
        .join(Result, Result.job_id == Job.id)
        .where(Result.deleted_at.is_(None), Result.expires_at < func.now(), Job.result_video_id.is_(None))
    )
    return list((await session.scalars(query.order_by(Result.expires_at).limit(BATCH))).all())


async def give_up_product(session: AsyncSession, job: Job) -> None:
    await product_of(job.kind).deleted(session, job.id)
    await results.mark_deleted(session, job.id)


async def give_up_video(session: AsyncSession, video_id: VideoId) -> bool:
    """Mark a video deleted. False, and nothing is written, while an active job reads it."""
    # From here on a job that is about to be opened on it waits for this transaction (`videos.get_video`, keep).
    await session.execute(select(Video.id).where(Video.id == video_id).with_for_update(key_share=True))
    if await jobs.has_active_job(session, video_id):
        return False
    await videos.mark_deleted(session, video_id)
    return True


async def settled_before(
    session: AsyncSession, job_ids: Sequence[JobId], *, hours: int, without_result: bool = False
) -> set[JobId]:
    """Those of `job_ids` that ended more than `hours` ago, however often their files were deleted already.

    `without_result`: only those that have none, or none any more.
    """
    ended = select(Job.id).where(Job.finished_at < func.now() - timedelta(hours=hours))
    if without_result:
        ended = ended.where(~exists().where(Result.job_id == Job.id, Result.deleted_at.is_(None)))
    found: set[JobId] = set()
    for start in range(0, len(job_ids), BATCH):
        found.update((await session.scalars(ended.where(Job.id.in_(job_ids[start : start + BATCH])))).all())
    return found


async def deleted_before(session: AsyncSession, video_ids: Sequence[VideoId], *, hours: int) -> set[VideoId]:
    """Those of `video_ids` that were deleted more than `hours` ago."""
    gone = select(Video.id).where(Video.deleted_at < func.now() - timedelta(hours=hours))
    found: set[VideoId] = set()
    for start in range(0, len(video_ids), BATCH):
        found.update(
            (await session.scalars(gone.where(Video.id.in_(video_ids[start : start + BATCH])))).all()
        )
    return found
