"""Numbers for Prometheus, all from partial indexes: a scrape must not cost more as the tables grow."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.jobs import Attention, JobStatus
from db.tables import Job, JobStage


@dataclass(frozen=True)
class JobCount:
    kind: str
    status: JobStatus
    attention: Attention | None
    count: int


async def active_jobs(session: AsyncSession) -> list[JobCount]:
    rows = await session.execute(
        select(Job.kind, Job.status, Job.attention, func.count())
        .where(Job.finished_at.is_(None))
        .group_by(Job.kind, Job.status, Job.attention)
    )
    return [JobCount(kind, status, attention, count) for kind, status, attention, count in rows]


async def jobs_settled_since(session: AsyncSession, since: datetime) -> list[JobCount]:
    rows = await session.execute(
        select(Job.kind, Job.status, func.count())
        .where(Job.finished_at >= since)
        .group_by(Job.kind, Job.status)
    )
    return [JobCount(kind, status, None, count) for kind, status, count in rows]


@dataclass(frozen=True)
class Durations:
    """Of one job settled since the last look, in seconds; None where it never came so far."""

    kind: str
    queue_wait_s: float | None
    run_s: float | None
    stages_s: dict[str, float]


async def durations_since(session: AsyncSession, since: datetime, until: datetime) -> list[Durations]:
    """Jobs that finished in [since, until)."""
    jobs = (await session.scalars(select(Job).where(Job.finished_at >= since, Job.finished_at < until))).all()
    stages = await session.scalars(select(JobStage).where(JobStage.job_id.in_([job.id for job in jobs])))
    by_job: dict[str, dict[str, float]] = {}
    for stage in stages:
        if (seconds := _seconds(stage.started_at, stage.finished_at)) is not None:
            by_job.setdefault(stage.job_id, {})[stage.stage] = seconds
    return [
        Durations(
            kind=job.kind,
            queue_wait_s=_seconds(job.queued_at, job.started_at),
            run_s=_seconds(job.started_at, job.finished_at),
            stages_s=by_job.get(job.id, {}),
        )
        for job in jobs
    ]


async def credits_held(session: AsyncSession) -> int:
    """Credits promised to running jobs, over all users."""
    query = text("SELECT coalesce(sum(balance), 0)::bigint FROM accounts WHERE kind = 'held' AND balance > 0")
    return (await session.execute(query)).scalar_one()


def _seconds(start: datetime | None, end: datetime | None) -> float | None:
    return None if start is None or end is None else (end - start).total_seconds()
