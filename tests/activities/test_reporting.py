"""A running step tells Temporal and its owner how far it is, and stops when its job has ended."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from temporalio.testing import ActivityEnvironment

from activities.reporting import Reporter, from_thread
from contracts.errors import Code, EchoError
from contracts.jobs import JobStatus
from contracts.video_job import JobInput
from db import events, progress
from db.engine import Database
from dev.servers.postgres import Postgres
from dev.stack import migrate
from tests.activities.settling import settle
from tests.workflows.house import House

TOTALS = {"ingest": 100, "upscale": 90, "interpolate": 180, "mux": 100}


async def running_job(house: House) -> JobInput:
    job = await house.open_job()
    async with house.rooms.database.transaction() as session:
        await progress.declare_stages(session, job.job_id, TOTALS)
    return job


async def percents(house: House, job: JobInput) -> dict[str, int]:
    async with house.rooms.database.read() as session:
        return {stage.name: stage.percent for stage in await events.stages(session, job.job_id)}


def in_activity() -> tuple[ActivityEnvironment, list[tuple[Any, ...]]]:
    env, beats = ActivityEnvironment(), []
    env.on_heartbeat = lambda *details: beats.append(details)
    return env, beats


async def test_reports_are_heartbeats_and_reach_the_owner(house: House) -> None:
    job = await running_job(house)
    reporter = Reporter(house.rooms.database, job.job_id, status=JobStatus.INGESTED)

    async def work() -> str:
        for done in (10, 40):
            reporter("ingest", done, 100)
        return "worked"

    env, beats = in_activity()
    assert await env.run(reporter.run, work()) == "worked"
    assert beats == [("ingest", 10, 100), ("ingest", 40, 100)]
    assert (await percents(house, job))["ingest"] == 40


async def test_two_segments_of_a_stage_add_up_and_a_repeated_one_does_not(house: House) -> None:
    job = await running_job(house)
    for part, done in ((0, 45), (1, 30), (0, 45)):
        reporter = Reporter(house.rooms.database, job.job_id, part=part, status=JobStatus.INGESTED)

        async def work(reporter: Reporter = reporter, done: int = done) -> None:
            reporter("upscale", done, 45)

        env, _ = in_activity()
        await env.run(reporter.run, work())
    assert (await percents(house, job))["upscale"] == 75 * 100 // 90


async def test_work_on_a_job_that_has_ended_meanwhile_is_stopped(house: House) -> None:
    job = await running_job(house)
    reporter = Reporter(house.rooms.database, job.job_id, status=JobStatus.INGESTED)
    begun, stopped = asyncio.Event(), asyncio.Event()

    async def endless() -> None:
        begun.set()
        try:
            for done in range(100_000):
                reporter("upscale", done, 100_000)
                await asyncio.sleep(0.01)
        finally:
            stopped.set()

    env, _ = in_activity()
    running = asyncio.create_task(env.run(reporter.run, endless()))
    await begun.wait()
    await settle(house, job)
    with pytest.raises(EchoError) as raised:
        await asyncio.wait_for(running, 30)
    assert raised.value.code is Code.JOB_SETTLED
    assert stopped.is_set()


async def test_work_on_a_job_that_had_ended_before_does_not_begin(house: House) -> None:
    job = await running_job(house)
    await settle(house, job)
    begun: list[int] = []

    async def work() -> None:
        begun.append(1)

    env, _ = in_activity()
    with pytest.raises(EchoError) as raised:
        await env.run(Reporter(house.rooms.database, job.job_id).run, work())
    assert raised.value.code is Code.JOB_SETTLED
    assert begun == []


async def test_a_cancelled_step_takes_its_work_with_it(house: House) -> None:
    job = await running_job(house)
    reporter = Reporter(house.rooms.database, job.job_id, status=JobStatus.INGESTED)
    begun, stopped = asyncio.Event(), asyncio.Event()

    async def endless() -> None:
        begun.set()
        try:
            await asyncio.Event().wait()
        finally:
            stopped.set()

    env, _ = in_activity()
    running = asyncio.create_task(env.run(reporter.run, endless()))
    await begun.wait()
    env.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert stopped.is_set()


@pytest.mark.slow
async def test_a_database_that_goes_away_costs_no_work(house: House, tmp_path: Path) -> None:
    server = Postgres(tmp_path, tmp_path / "logs")
    await server.start()
    await server.create_database("away")
    await migrate({"ECHOSHOT_DATABASE_URL": server.sqlalchemy_url("away")})
    database = Database(server.sqlalchemy_url("away"))
    here = replace(house, rooms=replace(house.rooms, database=database))
    try:
        job = await running_job(here)
        reporter = Reporter(database, job.job_id, status=JobStatus.INGESTED)

        async def work() -> str:
            server.kill()
            for done in range(50):
                reporter("upscale", done, 90)
                await asyncio.sleep(0.02)
            return "worked"

        env, _ = in_activity()
        assert await env.run(reporter.run, work()) == "worked"
        await server.restart()
        assert (await percents(here, job))["upscale"] == 0
    finally:
        await database.aclose()
        await server.stop()


async def test_a_transfer_in_another_thread_beats_here_and_ends_with_its_step() -> None:
    env, beats = in_activity()
    told: list[tuple[int, int]] = []

    async def step() -> None:
        async with from_thread() as beat:
            await asyncio.to_thread(beat, 1, 10)
        async with from_thread(lambda done, total: told.append((done, total))) as report:
            await asyncio.to_thread(report, 2, 10)
        with pytest.raises(EchoError) as raised:
            await asyncio.to_thread(report, 3, 10)
        assert raised.value.code is Code.UNAVAILABLE

    await env.run(step)
    await asyncio.sleep(0)
    assert (beats, told) == ([(1, 10)], [(2, 10)])
