"""A job's event stream. `seq` is counted on the job's own row, so it has no gaps: an event whose transaction rolls
back gives its number back. A trigger sends NOTIFY `job_events` (payload: job id) at commit."""

from __future__ import annotations

from collections.abc import Collection

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.ids import JobId
from contracts.jobs import EventType, JobEvent, Stage
from contracts.ledger import CreditEffect
from db.tables import Job, JobEventRow, JobStage


async def append(
    session: AsyncSession,
    job: Job,
    type_: EventType,
    *,
    credit_effect: CreditEffect = CreditEffect.NONE,
    credits: int = 0,
    eta_s: int | None = None,
) -> JobEvent:
    """The job as it stands now, as its next event. `job` must be locked by this transaction (db.jobs.lock_job)."""
    job.event_seq += 1
    row = JobEventRow(
        job_id=job.id,
        seq=job.event_seq,
        type=type_,
        status=job.status,
        credit_effect=credit_effect,
        credits=credits,
        stages=await stages(session, job.id),
        eta_s=eta_s,
        attention=job.attention,
        failure_code=job.failure_code,
    )
    session.add(row)
    await session.flush()
    return _event(row)


async def after(session: AsyncSession, job_id: JobId, seq: int, limit: int = 100) -> list[JobEvent]:
    """Events with a higher number than `seq`, in order."""
    query = select(JobEventRow).where(JobEventRow.job_id == job_id, JobEventRow.seq > seq)
    return [_event(row) for row in await session.scalars(query.order_by(JobEventRow.seq).limit(limit))]


async def snapshot(session: AsyncSession, job_id: JobId) -> JobEvent | None:
    """The state after the last event, with that event's number: continue with `after(..., snapshot.seq)`."""
    last = await session.scalar(
        select(JobEventRow).where(JobEventRow.job_id == job_id).order_by(JobEventRow.seq.desc()).limit(1)
    )
    if last is None:
        return None
    return _event(last).model_copy(update={"stages": await stages(session, job_id)})


async def stages(session: AsyncSession, job_id: JobId) -> tuple[Stage, ...]:
    query = select(JobStage).where(JobStage.job_id == job_id).order_by(JobStage.position)
    rows = await session.scalars(query.execution_options(populate_existing=True))
    return tuple(row.contract() for row in rows)


async def stages_of(session: AsyncSession, job_ids: Collection[JobId]) -> dict[JobId, tuple[Stage, ...]]:
    """Stages of many jobs in one query; a job whose stages are not declared yet is left out."""
    query = select(JobStage).where(JobStage.job_id.in_(job_ids)).order_by(JobStage.position)
    found: dict[JobId, tuple[Stage, ...]] = {}
    for row in await session.scalars(query.execution_options(populate_existing=True)):
        found[row.job_id] = (*found.get(row.job_id, ()), row.contract())
    return found


def _event(row: JobEventRow) -> JobEvent:
    return JobEvent(
        job_id=row.job_id,
        seq=row.seq,
        at=row.at,
        type=row.type,
        status=row.status,
        credit_effect=row.credit_effect,
        credits=row.credits,
        stages=row.stages,
        eta_s=row.eta_s,
        attention=row.attention,
        failure_code=row.failure_code,
    )
