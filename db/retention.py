"""What may be deleted from the store. The caller deletes the objects first and marks afterwards: a crash in between
deletes them again, which the store allows, whereas a mark without deletion would keep them for ever."""

from __future__ import annotations

from collections.abc import Collection
from datetime import timedelta

from sqlalchemy import exists, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.ids import JobId
from db.tables import Job, Video, VideoRole, VideoState

BATCH = 100
"""Rows at a time: the next run of the schedule takes the next ones."""


async def expired_results(session: AsyncSession) -> list[Video]:
    query = select(Video).where(
        Video.role == VideoRole.RESULT, Video.state != VideoState.DELETED, Video.expires_at < func.now()
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


async def settled_jobs_with_work(session: AsyncSession, *, hours: int) -> list[JobId]:
    """Jobs that ended more than `hours` ago and whose segments and plan are still in store."""
    query = select(Job.id).where(
        Job.work_deleted_at.is_(None), Job.finished_at < func.now() - timedelta(hours=hours)
    )
    return list((await session.scalars(query.order_by(Job.finished_at).limit(BATCH))).all())


async def settled_before(session: AsyncSession, job_ids: Collection[JobId], *, hours: int) -> set[JobId]:
    """Those of `job_ids` that ended more than `hours` ago, however often their work was deleted already."""
    ended = Job.finished_at < func.now() - timedelta(hours=hours)
    return set((await session.scalars(select(Job.id).where(Job.id.in_(job_ids), ended))).all())


async def mark_work_deleted(session: AsyncSession, job_id: JobId) -> None:
    await session.execute(update(Job).where(Job.id == job_id).values(work_deleted_at=func.now()))
