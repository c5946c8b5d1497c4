"""Jobs move forward only, are found by their owners only, and are listed in pages that stay right."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

from contracts.errors import Code, EchoError
from contracts.ids import JobId
from contracts.jobs import ACTIVE, NEXT, Attention, EventType, JobStatus
from contracts.timing import JobDeadlines
from contracts.video_job import StatusChange
from db import events, jobs, videos
from db.engine import Database
from db.pages import Page
from db.tables import Job
from tests.books import a_job, a_user


async def change(database: Database, job: Job, status: JobStatus, **rest: object) -> bool:
    async with database.transaction() as session:
        return await jobs.set_status(
            session, StatusChange.model_validate({"job_id": job.id, "status": status, **rest})
        )


async def current(database: Database, job: Job) -> Job:
    async with database.read() as session:
        found = await jobs.get_job(session, job.id)
    assert found is not None
    return found


@pytest.mark.parametrize("start", sorted(ACTIVE))
@pytest.mark.parametrize("target", sorted(ACTIVE))
async def test_only_legal_moves_are_made(database: Database, start: JobStatus, target: JobStatus) -> None:
    job = await a_job(database, await a_user(database, paid=10), status=start)
    before = await current(database, job)
    moved = await change(database, job, target)
    after = await current(database, job)
    assert moved == (target in NEXT[start])
    assert after.status == (target if moved else start)
    assert (after.version, after.event_seq) == (before.version + moved, before.event_seq + moved)


async def test_a_settled_status_is_never_written_without_the_money(database: Database) -> None:
    job = await a_job(database, await a_user(database, paid=10))
    with pytest.raises(ValueError, match="settlement"):
        await change(database, job, JobStatus.FAILED, failure_code="x")


async def test_attention_comes_with_its_code_and_goes_with_the_retry(database: Database) -> None:
    job = await a_job(database, await a_user(database, paid=10), status=JobStatus.RUNNING)
    assert await change(
        database, job, JobStatus.RUNNING, attention=Attention.FAULT, failure_code=Code.ENGINE_CRASHED
    )
    waiting = await current(database, job)
    assert (waiting.attention, waiting.failure_code) == (Attention.FAULT, Code.ENGINE_CRASHED)
    assert not await change(
        database, job, JobStatus.RUNNING, attention=Attention.FAULT, failure_code=Code.ENGINE_CRASHED
    )
    assert await change(database, job, JobStatus.RUNNING)
    retried = await current(database, job)
    assert (retried.attention, retried.failure_code) == (None, None)
    async with database.read() as session:
        kinds = [event.type for event in await events.after(session, job.id, 0)]
    assert kinds[-2:] == [EventType.ATTENTION, EventType.ATTENTION]


async def test_the_first_times_are_kept_when_steps_run_again(database: Database) -> None:
    job = await a_job(database, await a_user(database, paid=10), status=JobStatus.RUNNING)
    first = await current(database, job)
    assert first.queued_at is not None
    assert first.started_at is not None
    await change(database, job, JobStatus.RUNNING, attention=Attention.FAULT)
    await change(database, job, JobStatus.RUNNING)
    again = await current(database, job)
    assert (again.queued_at, again.started_at) == (first.queued_at, first.started_at)


async def test_another_users_job_is_not_found(database: Database) -> None:
    owner, stranger = await a_user(database, paid=10), await a_user(database)
    job = await a_job(database, owner)
    async with database.read() as session:
        assert await jobs.get_job(session, job.id, user_id=stranger.id) is None
        assert await jobs.get_job(session, job.id, user_id=owner.id) is not None


async def test_locking_a_job_that_does_not_exist_says_so(database: Database) -> None:
    with pytest.raises(EchoError) as missing:
        async with database.transaction() as session:
            await jobs.lock_job(session, JobId("job_none"))
    assert missing.value.code is Code.NOT_FOUND


async def test_pages_run_both_ways_without_loss_or_repetition(database: Database) -> None:
    user = await a_user(database, paid=70)
    made = [(await a_job(database, user)).id for _ in range(7)]
    await a_job(database, await a_user(database, paid=10))
    newest_first = made[::-1]
    async with database.read() as session:
        first = await jobs.list_jobs(session, user.id, Page(limit=3))
        second = await jobs.list_jobs(session, user.id, Page(limit=3, starting_after=first.items[-1].id))
        third = await jobs.list_jobs(session, user.id, Page(limit=3, starting_after=second.items[-1].id))
        back = await jobs.list_jobs(session, user.id, Page(limit=3, ending_before=third.items[0].id))
    assert [job.id for page in (first, second, third) for job in page.items] == newest_first
    assert [page.has_more for page in (first, second, third)] == [True, True, False]
    assert [job.id for job in back.items] == newest_first[3:6]
    assert back.has_more


async def test_lists_are_filtered_by_state_kind_and_date(database: Database) -> None:
    user = await a_user(database, paid=30)
    waiting, running = await a_job(database, user), await a_job(database, user, status=JobStatus.RUNNING)
    soon, late = datetime.now(UTC) + timedelta(hours=1), datetime.now(UTC) + timedelta(hours=2)
    async with database.read() as session:

        async def ids(**filters: object) -> list[str]:
            rows = await jobs.list_jobs(session, user.id, Page(), **filters)  # type: ignore[arg-type]
            return [job.id for job in rows.items]

        assert await ids(statuses=[JobStatus.RUNNING]) == [running.id]
        assert await ids(statuses=[JobStatus.RUNNING, JobStatus.CREATED]) == [running.id, waiting.id]
        assert await ids(kinds=["clip"]) == []
        assert await ids(kinds=["enhance"], created_to=soon) == [running.id, waiting.id]
        assert await ids(created_from=soon, created_to=late) == []


@pytest.mark.parametrize("limit", [0, 101])
def test_a_page_has_1_to_100_rows(limit: int) -> None:
    with pytest.raises(EchoError) as refused:
        Page(limit=limit)
    assert refused.value.code is Code.VALIDATION_FAILED


async def test_a_cursor_of_another_list_is_refused(database: Database) -> None:
    user = await a_user(database)
    with pytest.raises(EchoError) as refused:
        Page(starting_after="job_1", ending_before="job_2")
    assert refused.value.code is Code.CURSOR_INVALID
    for cursor in ("vid_" + "0" * 32, "job_x", "' OR 1=1"):
        with pytest.raises(EchoError) as refused:
            async with database.read() as session:
                await jobs.list_jobs(session, user.id, Page(starting_after=cursor))
        assert refused.value.code is Code.CURSOR_INVALID


async def test_a_job_started_anew_after_its_upload_was_refused_waits_for_no_other(database: Database) -> None:
    job = await a_job(database, await a_user(database, paid=10), status=JobStatus.INGESTED)
    async with database.transaction() as session:
        await videos.mark_rejected(session, job.video_id, Code.CORRUPT)
    async with database.read() as session:
        video = await videos.get_video(session, job.user_id, job.video_id)
        assert video is not None
        assert jobs.job_input(job, video, JobDeadlines()).uploaded
