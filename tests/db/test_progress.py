"""Progress only rises, is told often enough and not too often, and numbers its events without gaps."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.errors import Code, EchoError
from contracts.jobs import EventType, JobStatus, Stage, StageState
from contracts.video_job import Release
from db import events, progress, settlement
from db.engine import Database
from db.tables import Job
from tests.books import a_job, a_user, run_sql, step_of

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


async def running_job(database: Database, **totals: int) -> Job:
    job = await a_job(database, await a_user(database, paid=10), status=JobStatus.RUNNING)
    async with database.transaction() as session:
        await progress.declare_stages(session, job.id, totals)
    return job


async def percents(database: Database, job: Job) -> dict[str, int]:
    async with database.read() as session:
        return {stage.name: stage.percent for stage in await events.stages(session, job.id)}


async def report(database: Database, job: Job, stage: str, part: int, done: int, total: int) -> bool:
    async with database.transaction() as session:
        return await progress.report(session, job.id, stage, part, done, total)


async def test_parts_of_a_stage_add_up_and_a_part_done_again_takes_nothing_back(database: Database) -> None:
    job = await running_job(database, ingest=0, upscale=200)
    for part, done, percent in (
        (0, 50, 25),
        (1, 50, 50),
        (0, 10, 50),
        (0, 60, 55),
        (1, 1000, 80),
        (1, 100, 80),
    ):
        await report(database, job, "upscale", part, done, 100)
        assert await percents(database, job) == {"ingest": 0, "upscale": percent}


async def test_a_larger_plan_does_not_lower_the_percentage(database: Database) -> None:
    job = await running_job(database, upscale=100)
    await report(database, job, "upscale", 0, 50, 100)
    async with database.transaction() as session:
        await progress.declare_stages(session, job.id, {"upscale": 1000})
    assert await percents(database, job) == {"upscale": 50}


async def test_concurrent_reports_lose_nothing_and_leave_no_gap_in_the_events(database: Database) -> None:
    job = await running_job(database, upscale=160)

    async def part(index: int) -> None:
        for done in (3, 7, 2, 10):
            await report(database, job, "upscale", index, done, 10)

    await asyncio.gather(*[part(index) for index in range(16)])
    assert await percents(database, job) == {"upscale": 100}
    async with database.read() as session:
        told = await events.after(session, job.id, 0)
    assert [event.seq for event in told] == list(range(1, len(told) + 1))
    shown = [event.stages[0].percent for event in told if event.stages]
    assert shown == sorted(shown), "what was told never falls"


async def test_events_are_limited_but_the_end_of_a_stage_is_always_told(database: Database) -> None:
    job = await running_job(database, upscale=1000)
    await run_sql(database, "UPDATE jobs SET progress_at = now() + interval '1 hour'")
    async with database.read() as session:
        last = await events.snapshot(session, job.id)
    assert last is not None
    for done in range(0, 1000, 100):
        await report(database, job, "upscale", 0, done, 1000)
    async with database.transaction() as session:
        assert await events.after(session, job.id, last.seq) == []
        await progress.finish_stage(session, job.id, "upscale")
        await progress.finish_stage(session, job.id, "upscale")
        (event,) = await events.after(session, job.id, last.seq)
    assert (event.type, event.stages[0].percent, event.stages[0].state) == (
        EventType.PROGRESS, 100, StageState.DONE,
    )  # fmt: skip


async def test_a_snapshot_shows_progress_that_no_event_has_told_yet(database: Database) -> None:
    job = await running_job(database, upscale=10)
    await run_sql(database, "UPDATE jobs SET progress_at = now() + interval '1 hour'")
    await report(database, job, "upscale", 0, 5, 10)
    async with database.read() as session:
        snapshot = await events.snapshot(session, job.id)
    assert snapshot is not None
    assert snapshot.stages[0].percent == 50


async def test_a_settled_job_takes_no_more_reports(database: Database) -> None:
    job = await running_job(database, upscale=10)
    async with database.transaction() as session:
        release = Release(job_id=job.id, status=JobStatus.CANCELED, failure_code="canceled_by_user")
        await settlement.release_job(session, release, step_of(job))
    assert not await report(database, job, "upscale", 0, 5, 10)
    assert await percents(database, job) == {"upscale": 0}


async def test_a_stage_that_was_never_declared_is_refused(database: Database) -> None:
    job = await running_job(database, upscale=10)
    with pytest.raises(EchoError) as refused:
        await report(database, job, "mux", 0, 5, 10)
    assert refused.value.code is Code.NOT_FOUND


async def test_events_that_roll_back_give_their_numbers_back(database: Database) -> None:
    job = await running_job(database, upscale=10)
    async with database.read() as session:
        before = await events.snapshot(session, job.id)
    with suppress(RuntimeError):
        async with database.transaction() as session:
            await progress.finish_stage(session, job.id, "upscale")
            raise RuntimeError
    async with database.transaction() as session:
        await progress.finish_stage(session, job.id, "upscale")
        after = await events.snapshot(session, job.id)
    assert before is not None
    assert after is not None
    assert after.seq == before.seq + 1


def stage(percent: int, finished_at: datetime | None = None, state: StageState = StageState.RUNNING) -> Stage:
    return Stage(name="s", state=state, percent=percent, finished_at=finished_at)


def test_the_time_left_follows_the_speed_so_far() -> None:
    ten_seconds_in = NOON + timedelta(seconds=10)
    ingest = stage(100, finished_at=NOON - timedelta(seconds=1))
    assert progress.eta_s([ingest, stage(50), stage(50), stage(0)], NOON, ten_seconds_in) == 20
    assert progress.eta_s([stage(0)], NOON, ten_seconds_in) is None
    mux = stage(0, state=StageState.WAITING)
    assert progress.eta_s([ingest, stage(80), stage(80), mux], NOON, NOON + timedelta(seconds=80)) == 20
    assert progress.eta_s([ingest, stage(100), stage(100), mux], NOON, NOON + timedelta(seconds=80)) == 0
    assert progress.eta_s([stage(50)], NOON, NOON + timedelta(seconds=1)) is None
    assert progress.eta_s([stage(50)], None, NOON) is None


@given(st.lists(st.integers(0, 100), max_size=6), st.integers(-10, 10_000))
def test_the_time_left_is_never_negative(shares: list[int], elapsed_s: int) -> None:
    left = progress.eta_s([stage(share) for share in shares], NOON, NOON + timedelta(seconds=elapsed_s))
    assert left is None or left >= 0
