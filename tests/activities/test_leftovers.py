"""What nobody will ever ask for again goes too, also what was written after the clean-up."""

from __future__ import annotations

from sqlalchemy import text

from db import retention
from storage import keys
from tests.activities.settling import settle
from tests.activities.test_housekeeping import grow_old, kept, put, retain
from tests.workflows.house import House


async def test_a_result_published_after_its_job_was_cancelled_is_deleted_by_the_clock(house: House) -> None:
    job, running = await house.open_job(), await house.open_job()
    await settle(house, job)
    late, early = keys.result_key(job.job_id, "c"), keys.result_key(running.job_id, "c")
    await put(house, late, early)
    await grow_old(house, "jobs", "finished_at", "id", job.job_id)

    assert (await retain(house)).work_files_deleted == 1
    assert await kept(house) == {early}


async def test_an_analysis_written_after_its_video_was_deleted_is_deleted_by_the_clock(house: House) -> None:
    gone, there = await house.open_job(), await house.open_job()
    await settle(house, gone)
    late, current = (keys.music_key(job.video_id, "c", "music.json") for job in (gone, there))
    await put(house, late, current)
    async with house.rooms.database.transaction() as session:
        assert await retention.give_up_video(session, gone.video_id)
    assert (await retain(house)).work_files_deleted == 0
    await grow_old(house, "videos", "deleted_at", "id", gone.video_id)

    assert (await retain(house)).work_files_deleted == 1
    assert await kept(house) == {current}


async def test_one_pass_deletes_all_that_is_due_however_much_it_is(house: House) -> None:
    user, many = await house.user(credits=0), 2 * retention.BATCH
    async with house.rooms.database.transaction() as session:
        await session.execute(
            text("""
                INSERT INTO videos (id, user_id, role, state, object_key, filename, content_type, bytes, created_at)
                SELECT 'vid_' || n, :user, 'source', 'pending', 'x', 'x', 'x', 1, now() - interval '60 days'
                  FROM generate_series(1, :many) n"""),
            {"user": user.id, "many": many},
        )
    assert (await retain(house)).sources_deleted == many
