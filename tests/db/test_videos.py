"""Users, videos and uploads: what is found again, by whom, and what a repeat changes (nothing)."""

from __future__ import annotations

import asyncio

from contracts.jobs import JobStatus
from contracts.video_job import Release
from db import retention, settlement, uploads, users, videos
from db.engine import Database
from db.pages import Page
from db.tables import Job, User, Video, VideoState
from tests.books import (
    SHA,
    a_job,
    a_source,
    a_user,
    an_artifact,
    completion,
    media_info,
    run_sql,
    step_of,
)


async def a_ready_source(database: Database, user: User) -> Video:
    video = await a_source(database, user)
    async with database.transaction() as session:
        await videos.mark_uploaded(session, video.id)
        await videos.mark_ready(session, video.id, media_info(), an_artifact(video.object_key))
    return video


async def found(database: Database, video: Video) -> Video:
    async with database.read() as session:
        row = await videos.get_video(session, video.user_id, video.id)
    assert row is not None
    return row


async def a_finished_job(database: Database, user: User) -> Job:
    job = await a_job(database, user, status=JobStatus.RUNNING)
    async with database.transaction() as session:
        await settlement.complete_job(session, completion(job, 10), step_of(job))
    return job


async def test_first_requests_at_once_make_one_user(database: Database) -> None:
    async def sign_in() -> str:
        async with database.transaction() as session:
            user = await users.ensure_user(
                session, issuer="https://issuer", subject="same", email="a@b", locale="ko"
            )
            return user.id

    assert len(set(await asyncio.gather(*[sign_in() for _ in range(10)]))) == 1


async def test_a_user_keeps_the_id_when_address_or_language_change(database: Database) -> None:
    async with database.transaction() as session:
        first = await users.ensure_user(session, issuer="i", subject="s", email="old", locale="ko")
    async with database.transaction() as session:
        await users.ensure_user(session, issuer="i", subject="s", email="new", locale="en")
    async with database.read() as session:
        now = await users.get_user(session, first.id)
    assert now is not None
    assert (now.email, now.locale) == ("new", "en")


async def test_a_source_is_ready_with_what_was_measured_not_what_was_declared(database: Database) -> None:
    video = await a_ready_source(database, await a_user(database))
    ready = await found(database, video)
    assert (ready.state, ready.verified_sha256, ready.info) == (VideoState.READY, SHA, media_info())


async def test_late_repeats_do_not_take_a_checked_video_back(database: Database) -> None:
    video = await a_ready_source(database, await a_user(database))
    async with database.transaction() as session:
        await videos.mark_uploaded(session, video.id)
        await videos.mark_rejected(session, video.id, "corrupt")
    assert (await found(database, video)).state is VideoState.READY


async def test_a_duplicate_is_a_checked_source_of_the_same_user(database: Database) -> None:
    user, stranger = await a_user(database), await a_user(database)
    unchecked = await a_source(database, user)
    ready = await a_ready_source(database, user)
    async with database.transaction() as session:
        duplicate = await videos.find_duplicate(session, user.id, SHA)
        assert duplicate is not None
        assert duplicate.id == ready.id != unchecked.id
        assert await videos.find_duplicate(session, stranger.id, SHA) is None
        assert await videos.get_video(session, stranger.id, ready.id) is None
        await videos.mark_deleted(session, ready.id)
        assert await videos.find_duplicate(session, user.id, SHA) is None


async def test_results_are_listed_without_sources_and_deleted_ones(database: Database) -> None:
    user = await a_user(database, paid=30)
    first, second = await a_finished_job(database, user), await a_finished_job(database, user)
    async with database.transaction() as session:
        listed = (await videos.list_results(session, user.id, Page())).items
        assert [video.job_id for video in listed] == [second.id, first.id]
        await videos.mark_deleted(session, listed[0].id)
        assert len((await videos.list_results(session, user.id, Page())).items) == 1


async def test_of_two_uploads_recorded_at_once_one_is_used_by_both(database: Database) -> None:
    video = await a_source(database, await a_user(database))

    async def record(index: int) -> str:
        async with database.transaction() as session:
            return (await uploads.record_upload(session, video.id, f"s3-{index}", 8_000_000)).id

    ids = await asyncio.gather(*[record(index) for index in range(5)])
    assert len(set(ids)) == 1
    async with database.transaction() as session:
        await uploads.mark_completed(session, ids[0])
        await uploads.mark_aborted(session, ids[0])
        closed = await uploads.get_upload(session, video.id, ids[0])
        assert closed is not None
        assert closed.state == "completed"
        assert await uploads.get_open_upload(session, video.id) is None


async def test_only_what_nobody_needs_any_more_is_offered_for_deletion(database: Database) -> None:
    user = await a_user(database, paid=100)
    unused = await a_source(database, user)
    active = await a_job(database, user)
    finished = await a_finished_job(database, user)
    failed = await a_job(database, user)
    async with database.transaction() as session:
        release = Release(job_id=failed.id, status=JobStatus.FAILED, failure_code="x")
        await settlement.release_job(session, release, step_of(failed))

    ended = [finished.id, failed.id, active.id]

    async def offered() -> tuple[set[str], set[str | None], set[str]]:
        async with database.read() as session:
            return (
                {video.id for video in await retention.unused_sources(session, days=7)},
                {video.job_id for video in await retention.expired_results(session)},
                set(await retention.settled_before(session, ended, hours=24)),
            )

    assert await offered() == (set(), set(), set())
    await run_sql(database, "UPDATE videos SET created_at = now() - interval '8 days'")
    assert await offered() == ({unused.id}, set(), set()), (
        "a job that just ended may be repeated on its source"
    )
    # Moving the clock of settled jobs needs the trigger's leave: their end is written once.
    await run_sql(
        database,
        "ALTER TABLE jobs DISABLE TRIGGER jobs_stay_settled",
        "UPDATE jobs SET finished_at = now() - interval '8 days' WHERE finished_at IS NOT NULL",
        "SET CONSTRAINTS ALL IMMEDIATE",
        "ALTER TABLE jobs ENABLE TRIGGER jobs_stay_settled",
    )
    await run_sql(
        database, "UPDATE videos SET expires_at = now() - interval '1 second' WHERE role = 'result'"
    )
    assert await offered() == (
        {unused.id, finished.video_id, failed.video_id},
        {finished.id},
        {finished.id, failed.id},
    )
    assert active.video_id not in (await offered())[0]
    async with database.read() as session:
        assert await retention.settled_before(session, ended, hours=24, without_result=True) == {failed.id}
