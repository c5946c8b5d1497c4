"""Progress of the stages. Each (stage, part) keeps the most that it ever reported and each stage its highest
percentage, so a segment that starts again after a crash, or a plan that changes, never takes progress back."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.errors import Code, EchoError
from contracts.ids import JobId
from contracts.jobs import EventType, Stage, StageState
from db import events
from db.jobs import lock_job
from db.tables import Job, JobStage, StagePart

EVENT_INTERVAL = timedelta(milliseconds=250)
"""Four events a second are a smooth bar; twenty workers reporting at once must not become twenty."""

REFRESH_INTERVAL = timedelta(seconds=5)
"""Without a change of any percentage only the remaining time is news, and that keeps for a while."""

ETA_AFTER_S = 3
"""Earlier, the estimate is mostly the warming up of the engines."""


async def declare_stages(session: AsyncSession, job_id: JobId, totals: Mapping[str, int]) -> None:
    """Name all stages in order, with their totals in the stage's own unit; 0 while unknown. May be repeated when
    the totals are known better."""
    job = await lock_job(session, job_id)
    if job.status.settled:
        return
    known = {row.stage: row for row in await _stage_rows(session, job_id)}
    for position, (stage, total) in enumerate(totals.items()):
        row = known.get(stage)
        if row is None:
            row = JobStage(job_id=job_id, stage=stage, state=StageState.WAITING, done=0, percent=0)
            session.add(row)
        row.position, row.total = position, total
        _raise_percent(row)
    job.version += 1
    await events.append(session, job, EventType.PROGRESS)


async def report(session: AsyncSession, job_id: JobId, stage: str, part: int, done: int, total: int) -> bool:
    """Part `part` of a stage has done `done` of its `total`. False when the job is settled: stop working on it."""
    job = await lock_job(session, job_id)
    if job.status.settled:
        return False
    rows = await _stage_rows(session, job_id)
    row = _named(rows, stage)
    row.done += await _raise_part(session, row, part, min(done, total), total)
    _raise_percent(row)
    now = await _clock(session)
    _start(row, now)
    await _tell(session, job, rows, now)
    return True


async def finish_stage(session: AsyncSession, job_id: JobId, stage: str) -> None:
    """The stage is complete: always told, whatever the rate of events. A repeat is silent."""
    job = await lock_job(session, job_id)
    rows = await _stage_rows(session, job_id)
    row = _named(rows, stage)
    if job.status.settled or row.state is StageState.DONE:
        return
    now = await _clock(session)
    _start(row, now)
    row.state, row.percent, row.finished_at = StageState.DONE, 100, now
    await _tell(session, job, rows, now, always=True)


async def fail_running(session: AsyncSession, job_id: JobId) -> None:
    """The job has failed: the stages that were at work did."""
    for row in await _stage_rows(session, job_id):
        if row.state is StageState.RUNNING:
            row.state, row.finished_at = StageState.FAILED, await _clock(session)


def eta_s(stages: Sequence[Stage], started_at: datetime | None, now: datetime) -> int | None:
    """Seconds left, if the rest goes as fast as the work since `started_at`. None while that says too little.

    Stages finished before the job ran (ingest) are left out, and so are those that wait: the stages that run together
    weigh the same, but what follows them (mux) takes a few hundredths of their time.
    """
    if started_at is None or (elapsed_s := (now - started_at).total_seconds()) < ETA_AFTER_S:
        return None
    begun = [s for s in stages if s.state is not StageState.WAITING]
    percents = [s.percent for s in begun if s.finished_at is None or s.finished_at > started_at]
    done = sum(percents)
    if done == 0:
        return None
    return round(elapsed_s * (100 * len(percents) - done) / done)


async def _tell(
    session: AsyncSession, job: Job, rows: Sequence[JobStage], now: datetime, *, always: bool = False
) -> None:
    shown = sum(row.percent for row in rows)
    interval = EVENT_INTERVAL if shown != job.progress_shown else REFRESH_INTERVAL
    job.version += 1
    if not always and job.progress_at is not None and now - job.progress_at < interval:
        return
    job.progress_at, job.progress_shown = now, shown
    eta = eta_s([row.contract() for row in rows], job.started_at, now)
    await events.append(session, job, EventType.PROGRESS, eta_s=eta)


async def _raise_part(session: AsyncSession, row: JobStage, part: int, done: int, total: int) -> int:
    """How much more the part has done than ever before."""
    known = await session.get(StagePart, (row.job_id, row.stage, part), populate_existing=True)
    if known is None:
        session.add(StagePart(job_id=row.job_id, stage=row.stage, part=part, done=done, total=total))
        return done
    gained = max(0, done - known.done)
    known.done, known.total = known.done + gained, max(total, known.total)
    return gained


def _raise_percent(row: JobStage) -> None:
    if row.total > 0:
        row.percent = max(row.percent, min(100, row.done * 100 // row.total))


def _start(row: JobStage, now: datetime) -> None:
    if row.state is StageState.WAITING:
        row.state, row.started_at = StageState.RUNNING, now


async def _stage_rows(session: AsyncSession, job_id: JobId) -> Sequence[JobStage]:
    query = select(JobStage).where(JobStage.job_id == job_id).order_by(JobStage.position)
    return (await session.scalars(query.execution_options(populate_existing=True))).all()


def _named(rows: Sequence[JobStage], stage: str) -> JobStage:
    for row in rows:
        if row.stage == stage:
            return row
    raise EchoError(Code.NOT_FOUND, f"stage {stage!r} is not one of {[row.stage for row in rows]}")


async def _clock(session: AsyncSession) -> datetime:
    """The database's clock: workers' clocks differ by more than an event's interval."""
    return (await session.execute(select(func.clock_timestamp()))).scalar_one()
