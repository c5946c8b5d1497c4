"""What jobs have made, one row each, whatever their kind; written with the capture that pays for it."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.errors import Code, EchoError
from contracts.ids import JobId
from contracts.video_job import PipelineResult
from db.tables import Job, Result


async def add(session: AsyncSession, job: Job, outcome: PipelineResult, kept: timedelta | None) -> Result:
    """Only db/settlement.py calls this. `kept` None: as long as the job's source."""
    if not outcome.verification.ok:
        raise EchoError(Code.RESULT_UNVERIFIED, f"job {job.id}")
    result = Result(
        job_id=job.id,
        key=outcome.result.key,
        content_type=outcome.result.content_type,
        bytes=outcome.result.bytes,
        sha256=outcome.result.sha256,
        manifest_key=outcome.manifest.key,
        product=outcome.product,
        expires_at=None if kept is None else func.now() + kept,
    )
    session.add(result)
    await session.flush()
    return result


async def get(session: AsyncSession, job_id: JobId) -> Result | None:
    return await session.scalar(select(Result).where(Result.job_id == job_id))


async def mark_deleted(session: AsyncSession, job_id: JobId) -> None:
    await session.execute(
        update(Result)
        .where(Result.job_id == job_id, Result.deleted_at.is_(None))
        .values(deleted_at=func.now())
    )
