"""A video is deleted, or a job begins on it: whichever comes first, the other one learns of it."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager

from contracts.jobs import JobStatus
from db import retention, settlement, videos
from db.engine import Database
from db.pages import Page
from db.tables import User, Video, VideoState
from tests.books import (
    SHA,
    a_job,
    a_quote,
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
        await videos.mark_ready(session, video.id, media_info(), an_artifact(video.object_key))
    return video


@asynccontextmanager
async def a_job_being_opened(database: Database, user: User, video: Video):
    """The transaction of POST /jobs, before its commit."""
    async with database.transaction() as session:
        kept = await videos.get_video(session, user.id, video.id, keep=True)
        assert kept is not None
        await settlement.open_job(
            session, user=user, kind="enhance", params={}, video=kept, quote=a_quote(), uploaded=True
        )
        yield


async def until_somebody_waits_for_a_lock(database: Database) -> None:
    query = "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
    async with asyncio.timeout(30):
        while (await run_sql(database, query))[0].count == 0:  # noqa: ASYNC110 (it waits in another process)
            await asyncio.sleep(0.02)


async def test_a_source_is_not_deleted_under_a_job_that_is_being_opened(database: Database) -> None:
    user = await a_user(database, paid=100)
    video = await a_ready_source(database, user)

    async def give_up() -> bool:
        async with database.transaction() as session:
            return await retention.give_up_video(session, video.id)

    async with a_job_being_opened(database, user, video):
        deletion = asyncio.create_task(give_up())
        await until_somebody_waits_for_a_lock(database)
    assert await deletion is False
    assert (await run_sql(database, "SELECT state FROM videos"))[0].state == VideoState.READY


async def test_a_job_is_not_opened_on_a_source_that_is_being_deleted(database: Database) -> None:
    user = await a_user(database)
    video = await a_ready_source(database, user)

    async def look() -> tuple[VideoState | None, Video | None]:
        async with database.transaction() as session:
            by_id = await videos.get_video(session, user.id, video.id, keep=True)
            return by_id and by_id.state, await videos.find_duplicate(session, user.id, SHA)

    async with database.transaction() as session:
        assert await retention.give_up_video(session, video.id)
        opening = asyncio.create_task(look())
        await until_somebody_waits_for_a_lock(database)
    assert await opening == (VideoState.DELETED, None)


async def test_an_expired_result_stays_while_a_job_reads_it(database: Database) -> None:
    user = await a_user(database, paid=100)
    first = await a_job(database, user, status=JobStatus.RUNNING)
    async with database.transaction() as session:
        await settlement.complete_job(session, completion(first, 10), step_of(first))
        result = (await videos.list_results(session, user.id, Page())).items[0]
    async with a_job_being_opened(database, user, result):
        pass
    await run_sql(
        database, "UPDATE videos SET expires_at = now() - interval '1 second' WHERE role = 'result'"
    )
    async with database.read() as session:
        assert await retention.expired_results(session) == []
