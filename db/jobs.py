"""Jobs and their way through the active states. Settled states are written by db/settlement.py, with the money."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from typing import Any

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.errors import Code, EchoError
from contracts.ids import JobId, PurchaseId, UserId, VideoId
from contracts.jobs import NEXT, Attention, EventType, JobStatus
from contracts.pricing import Quote
from contracts.timing import JobDeadlines
from contracts.video_job import JobInput, StatusChange
from db import events, pages
from db.ids import new_id
from db.pages import Page, Rows
from db.tables import Job, Video, VideoState


async def insert_job(
    session: AsyncSession,
    *,
    user_id: UserId,
    kind: str,
    params: dict[str, Any],
    video: Video,
    quote: Quote,
    status: JobStatus,
    job_id: JobId | None = None,
    purchase_id: PurchaseId | None = None,
) -> Job:
    """The bare row, without its hold: db.settlement.open_job is what callers want."""
    job = Job(
        id=job_id or JobId(new_id("job")),
        user_id=user_id,
        kind=kind,
        status=status,
        params=params,
        video_id=video.id,
        filename=video.filename,
        quote=quote,
        quote_credits=quote.credits,
        purchase_id=purchase_id,
    )
    session.add(job)
    await session.flush()
    return job


async def get_job(session: AsyncSession, job_id: JobId, *, user_id: UserId | None = None) -> Job | None:
    """None also for another user's job, when `user_id` is given."""
    query = select(Job).where(Job.id == job_id)
    if user_id is not None:
        query = query.where(Job.user_id == user_id)
    return await session.scalar(query.execution_options(populate_existing=True))


async def lock_job(session: AsyncSession, job_id: JobId) -> Job:
    """The job, and nobody else changes it until this transaction ends. Always taken before the user's accounts."""
    # NO KEY UPDATE: rows that refer to the job (transfers, videos) may still be inserted by others.
    query = select(Job).where(Job.id == job_id).with_for_update(key_share=True)
    job = await session.scalar(query.execution_options(populate_existing=True))
    if job is None:
        raise EchoError(Code.NOT_FOUND, f"job {job_id}")
    return job


async def list_jobs(
    session: AsyncSession,
    user_id: UserId,
    page: Page,
    *,
    statuses: Collection[JobStatus] = (),
    kinds: Collection[str] = (),
    created_from: datetime | None = None,
    created_to: datetime | None = None,
) -> Rows[Job]:
    """A user's jobs; `created_from` is included, `created_to` is not."""
    query = select(Job).where(Job.user_id == user_id)
    if statuses:
        query = query.where(Job.status.in_(statuses))
    if kinds:
        query = query.where(Job.kind.in_(kinds))
    if created_from is not None:
        query = query.where(Job.created_at >= created_from)
    if created_to is not None:
        query = query.where(Job.created_at < created_to)
    return await pages.fetch(session, query, Job.id, page, "job")


async def has_active_job(session: AsyncSession, video_id: VideoId) -> bool:
    """Whether a job that has not ended reads this video."""
    query = select(Job.id).where(Job.video_id == video_id, Job.finished_at.is_(None))
    return await session.scalar(query.limit(1)) is not None


async def waiting_for_funds(session: AsyncSession, user_id: UserId) -> list[JobId]:
    query = select(Job.id).where(Job.user_id == user_id, Job.attention == Attention.FUNDS)
    return list((await session.scalars(query)).all())


async def set_status(session: AsyncSession, change: StatusChange) -> bool:
    """Move a job, or change what it waits for. False: it is there already, or further, and nothing was written.

    Never an error for a step that runs again: after a reset the old run's steps may still arrive.
    """
    if change.status.settled:
        raise ValueError(f"{change.status} is written by db.settlement, with the money")
    job = await lock_job(session, change.job_id)
    if change.status != job.status and change.status not in NEXT[job.status]:
        return False
    if job.status.settled or (change.status, change.attention) == (job.status, job.attention):
        return False
    type_ = EventType.STATUS if change.status != job.status else EventType.ATTENTION
    job.status, job.attention = change.status, change.attention
    job.failure_code, job.detail = change.failure_code, change.detail
    if job.status is JobStatus.QUEUED and job.queued_at is None:
        job.queued_at = await session.scalar(select(func.now()))
    if job.status is JobStatus.RUNNING and job.started_at is None:
        job.started_at = await session.scalar(select(func.now()))
    job.version += 1
    await events.append(session, job, type_)
    return True


async def active_created_before(
    session: AsyncSession, before: datetime, *, after: JobId | None = None, limit: int = 100
) -> list[tuple[Job, Video]]:
    """Jobs that have not ended, with their sources, oldest first, from behind `after`: the sweeper asks about each."""
    query = select(Job, Video).join(Video, Video.id == Job.video_id)
    query = query.where(Job.finished_at.is_(None), Job.created_at < before)
    if after is not None:
        query = query.where(Job.id > after)
    return [(job, video) for job, video in (await session.execute(query.order_by(Job.id).limit(limit))).all()]


def job_input(job: Job, video: Video, deadlines: JobDeadlines) -> JobInput:
    """What the job's workflow is started with, also by the sweeper long after the job was opened."""
    return JobInput(
        job_id=job.id,
        user_id=job.user_id,
        kind=job.kind,
        params=job.params,
        video_id=job.video_id,
        filename=job.filename,
        quote_credits=job.quote_credits,
        uploaded=video.state is not VideoState.PENDING,
        deadlines=deadlines,
        purchase_id=job.purchase_id,
    )
