"""Wherever a worker dies, the job reaches the end that it was going to reach, and the books balance."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import text
from temporalio.client import WorkflowFailureError, WorkflowUpdateFailedError

from contracts.errors import Code
from contracts.queues import Queue
from contracts.timing import JobDeadlines
from contracts.video_job import JobInput
from dev.platform import Worker as WorkerProcess
from tests.activities.test_media_steps import assert_stored, upload
from tests.media.music import songs
from tests.workflows.clipping import CHORUS, PRICE, VERSE, clips_of, open_clips
from tests.workflows.house import House, until, workers
from tests.workflows.lost_answers import LosesAnswers, Moment
from tests.workflows.mortals import mortal_workers, spared
from tests.workflows.stand_ins import Fails, Gate
from tests.workflows.surroundings import environment_of
from workflows.client import cancel_job


@dataclass(frozen=True)
class Ending:
    status: str
    code: Code | None
    steps: tuple[str, ...]
    """Those that move money or state on the way to this end."""
    prepare: Callable[[House, JobInput], None] = lambda *_: None
    meanwhile: Callable[[House, JobInput], Awaitable[None]] | None = None
    uploaded: bool = True
    upload_s: int = 3600


def stand_in_fails(code: Code) -> Callable[[House, JobInput], None]:
    def prepare(house: House, job: JobInput) -> None:
        house.stand_ins.on[f"{job.job_id}/plan_enhance"] = Fails(code)

    return prepare


def stand_in_waits(house: House, job: JobInput) -> None:
    house.stand_ins.on[f"{job.job_id}/plan_enhance"] = Gate()


async def cancel_it(house: House, job: JobInput) -> None:
    gate = house.stand_ins.on[f"{job.job_id}/plan_enhance"]
    assert isinstance(gate, Gate)
    await gate.reached.wait()
    await cancel_job(house.client, house.settings, job)


async def give_it_up(house: House, job: JobInput) -> None:
    async def accepted() -> bool:
        try:
            await house.handle(job).execute_update("give_up")
        except WorkflowUpdateFailedError:
            return False
        return True

    await until(accepted, seconds=90)


ENDINGS = (
    Ending("SUCCEEDED", None, ("hold", "adjust_hold", "complete")),
    Ending("FAILED", Code.CORRUPT, ("release",), stand_in_fails(Code.CORRUPT)),
    Ending("CANCELED", Code.CANCELED_BY_USER, ("release",), stand_in_waits, cancel_it),
    Ending(
        "FAILED",
        Code.GIVEN_UP_BY_SUPPORT,
        ("record_status", "release"),
        stand_in_fails(Code.ENGINE_CRASHED),
        give_it_up,
    ),
    Ending("EXPIRED", Code.UPLOAD_EXPIRED, ("release",), uploaded=False, upload_s=1),
)


@pytest.mark.slow
async def test_a_worker_may_die_before_and_after_the_effect_of_every_step_that_moves_money(
    closed_house: House,
) -> None:
    """All deaths at once, since each costs the 20 s after which Temporal gives the step up. No workflow is kept
    in memory: each of its tasks finds the state by replay, as it would on another machine."""
    loses = LosesAnswers()
    closed_house.interceptors[Queue.CORE].append(loses)

    async def live(ending: Ending, step: str, moment: Moment) -> JobInput:
        deadlines = JobDeadlines(upload_s=ending.upload_s)
        job = await closed_house.open_job(quote=30, uploaded=ending.uploaded, deadlines=deadlines)
        ending.prepare(closed_house, job)
        loses.of[job.workflow_id] = (step, moment)
        handle = await closed_house.start(job)
        if ending.meanwhile is not None:
            await ending.meanwhile(closed_house, job)
        try:
            await handle.result()
        except WorkflowFailureError:
            assert ending.code is not None
        return job

    moments: tuple[Moment, ...] = ("before", "after")
    deaths: list[tuple[Ending, str, Moment]] = [
        (ending, step, moment) for ending in ENDINGS for step in ending.steps for moment in moments
    ]
    async with workers(closed_house, workflow_cache=0):
        jobs = await asyncio.gather(*(live(*death) for death in deaths))

    assert sorted(loses.lost) == sorted((step, moment) for _, step, moment in deaths)
    for job, (ending, _, _) in zip(jobs, deaths, strict=True):
        if ending.code is None:
            await closed_house.assert_captured(job)
        else:
            await closed_house.assert_released(job, ending.status, ending.code)


@pytest.mark.slow
async def test_kill_9_of_the_core_worker_in_its_capture_takes_the_price_once(
    closed_house: House, tmp_path: Path
) -> None:
    environment = environment_of(closed_house.settings)
    first, second = (WorkerProcess(tmp_path / name, Queue.CORE, environment) for name in ("first", "second"))
    job = await closed_house.open_job()
    at_the_end = closed_house.stand_ins.on["mux_enhanced"] = Gate()
    async with workers(closed_house, Queue.TRANSFER, Queue.GPU, Queue.PROVIDERS):
        await first.start()
        try:
            handle = await closed_house.start(job)
            await at_the_end.reached.wait()
            # Whoever wants to capture must wait for this row, so the worker dies in the middle of it.
            async with closed_house.row_held(job):
                at_the_end.opened.set()
                await until(lambda: is_waited_for(closed_house))
                first.kill()
            await second.start()
            assert (await handle.result()).status == "SUCCEEDED"
        finally:
            first.kill()
            await second.stop()
    await closed_house.assert_captured(job)


@dataclass(frozen=True)
class Making:
    """A job of another kind, and how it ends."""

    open: Callable[[House], Awaitable[JobInput]]
    steps: tuple[str, ...]
    captured: int | None
    prepare: Callable[[House, JobInput], None] = lambda *_: None


async def a_song(house: House) -> JobInput:
    return await house.open_job(kind="music", quote=2)


async def three_clips(house: House) -> JobInput:
    return await open_clips(house, CHORUS, VERSE, VERSE)


def one_is_hopeless(house: House, job: JobInput) -> None:
    house.stand_ins.on[f"{job.job_id}/cut_clip/1"] = Fails(Code.CLIP_TOO_LARGE)


def all_are_hopeless(house: House, job: JobInput) -> None:
    for position in range(3):
        house.stand_ins.on[f"{job.job_id}/cut_clip/{position}"] = Fails(Code.CLIP_TOO_LARGE, times=2)


CLIP_STEPS = ("ingest", "choose_clips", "analyse_music", "cut_clip", "finish_clips", "complete")
MAKINGS = (
    Making(a_song, ("analyse_music", "complete"), 2),
    Making(three_clips, CLIP_STEPS, 2 * PRICE, one_is_hopeless),
    Making(three_clips, ("cut_clip", "release"), None, all_are_hopeless),
)


@pytest.mark.slow
async def test_a_worker_may_die_before_and_after_the_effect_of_every_step_of_music_and_clips(
    closed_house: House,
) -> None:
    loses = LosesAnswers()
    for queue in (Queue.CORE, Queue.TRANSFER):
        closed_house.interceptors[queue].append(loses)

    async def live(making: Making, step: str, moment: Moment) -> JobInput:
        job = await making.open(closed_house)
        making.prepare(closed_house, job)
        loses.of[job.workflow_id] = (step, moment)
        handle = await closed_house.start(job)
        with contextlib.suppress(WorkflowFailureError):
            await handle.result()
        return job

    moments: tuple[Moment, ...] = ("before", "after")
    deaths: list[tuple[Making, str, Moment]] = [
        (making, step, moment) for making in MAKINGS for step in making.steps for moment in moments
    ]
    async with workers(closed_house, workflow_cache=0):
        jobs = await asyncio.gather(*(live(*death) for death in deaths))

    # Of the three cuts, and of the two looks at the wishes, each dies once.
    assert set(loses.lost) == {(step, moment) for _, step, moment in deaths}
    for job, (making, _, _) in zip(jobs, deaths, strict=True):
        if making.captured is None:
            await closed_house.assert_released(job, "FAILED", Code.CLIP_TOO_LARGE)
        else:
            await closed_house.assert_captured(job, making.captured)


@pytest.mark.slow
async def test_kill_9_of_whoever_hears_and_cuts_costs_nothing_and_loses_no_clip(
    closed_house: House, tmp_path: Path
) -> None:
    """Real engines in workers that die before and after each step, taking along what else they were doing."""
    film = songs.filmed(tmp_path, (("A", 4), ("B", 8), ("A", 4)))
    deaths = [(step, moment) for step in CLIP_STEPS for moment in ("before", "after")]
    jobs: list[JobInput] = []
    for step, _ in deaths:
        wishes = (CHORUS, VERSE) if step == "analyse_music" else (VERSE, VERSE)
        jobs.append((await upload(closed_house, film, job=await open_clips(closed_house, *wishes))).job)
    plan = {job.workflow_id: death for job, death in zip(jobs, deaths, strict=True)}
    environment = environment_of(closed_house.settings)
    mortals = mortal_workers(environment, plan, tmp_path, Queue.CORE, Queue.TRANSFER, Queue.PROVIDERS)
    async with mortals as died:
        handles = [await closed_house.start(job) for job in jobs]
        async with asyncio.timeout(400):
            await asyncio.gather(*(handle.result() for handle in handles))
    assert spared(died, plan) == {}
    for job in jobs:
        await closed_house.assert_captured(job, 2 * PRICE)
        for clip in await clips_of(closed_house, job):
            assert clip.made is not None
            for file in (clip.made.video, clip.made.preview, clip.made.poster):
                await assert_stored(closed_house, file)


async def is_waited_for(house: House) -> bool:
    query = text(
        "SELECT count(*) FROM pg_stat_activity"
        " WHERE datname = current_database() AND wait_event_type = 'Lock' AND query LIKE '%FROM jobs%'"
    )
    async with house.rooms.database.read() as session:
        return (await session.execute(query)).scalar_one() > 0
