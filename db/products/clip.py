"""`clip`: one row for each clip that a job is to make, from the moment the job is taken on."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.errors import Code, EchoError
from contracts.ids import ClipId, JobId
from contracts.kinds.clip import ClipParams, Clips
from contracts.settings import settings
from db.ids import new_id
from db.products.base import Product
from db.products.music import record_analysis
from db.tables import Job
from db.tables_clips import Clip, ClipState


async def _opened(session: AsyncSession, job: Job) -> None:
    params = ClipParams.model_validate(job.params)
    before = None
    if params.regenerates is not None:
        # Its row is locked, so that two requests cannot both find that it was never regenerated.
        query = select(Clip).where(Clip.id == params.regenerates, Clip.user_id == job.user_id)
        before = await session.scalar(query.with_for_update(key_share=True))
        if before is None or before.video_id != job.video_id:
            raise EchoError(Code.NOT_FOUND, f"no clip {params.regenerates} of video {job.video_id}")
    for position, spec in enumerate(params.clips):
        session.add(
            Clip(
                id=ClipId(new_id("clp")),
                user_id=job.user_id,
                video_id=job.video_id,
                job_id=job.id,
                position=position,
                state=ClipState.PENDING,
                spec=spec,
                format=spec.format,
                length=spec.length,
                credits=job.quote.credits_per_piece,
                regenerated_from=before.id if before else None,
            )
        )
    await session.flush()


async def _published(session: AsyncSession, job: Job, product: dict[str, Any]) -> None:
    clips = Clips.model_validate(product)
    if clips.analysis is not None:
        await record_analysis(session, job.id, job.video_id, clips.analysis, anew=False)
    kept = timedelta(days=settings().result_days)
    for made in clips.made:
        if not made.verification.ok:
            raise EchoError(Code.RESULT_UNVERIFIED, f"clip {made.position} of job {job.id}")
        await _move(
            session, job.id, made.position,
            state=ClipState.READY, made=made, type=made.type, ready_at=func.now(), expires_at=func.now() + kept,
        )  # fmt: skip
    await _fail_each(session, job.id, clips)


async def _fail_each(session: AsyncSession, job_id: JobId, clips: Clips) -> None:
    for failed in clips.failed:
        await _move(session, job_id, failed.position, state=ClipState.FAILED, failure_code=failed.code)


async def _move(session: AsyncSession, job_id: JobId, position: int, **values: Any) -> None:
    of_job = (Clip.job_id == job_id, Clip.position == position, Clip.state == ClipState.PENDING)
    await session.execute(update(Clip).where(*of_job).values(**values))


async def _failed(session: AsyncSession, job: Job, code: str, product: dict[str, Any]) -> None:
    if product:
        await _fail_each(session, job.id, Clips.model_validate(product))
    pending = (Clip.job_id == job.id, Clip.state == ClipState.PENDING)
    await session.execute(update(Clip).where(*pending).values(state=ClipState.FAILED, failure_code=code))


async def _deleted(session: AsyncSession, job_id: JobId) -> None:
    ready = (Clip.job_id == job_id, Clip.state == ClipState.READY)
    await session.execute(update(Clip).where(*ready).values(state=ClipState.DELETED, deleted_at=func.now()))


CLIP = Product(opened=_opened, published=_published, failed=_failed, deleted=_deleted)
