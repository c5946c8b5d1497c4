"""Files go when their time has come, and not before; the rows that name them stay for the books."""

from __future__ import annotations

import asyncio

from sqlalchemy import text
from temporalio.testing import ActivityEnvironment

from activities.housekeeping import HousekeepingActivities
from contracts.jobs import JobStatus
from contracts.ledger import TransferOrigin
from contracts.maintenance import RetentionReport, RetentionRequest
from contracts.video_job import Complete, JobInput, JobRef, StatusChange
from db import jobs, settlement, videos
from storage import keys
from tests.activities.settling import settle
from tests.workflows.house import House
from tests.workflows.stand_ins import RESULT

ORIGIN = TransferOrigin(actor="test", step="complete")


async def put(house: House, *names: str) -> None:
    for name in names:
        await asyncio.to_thread(
            house.rooms.store.client.put_object, Bucket=house.rooms.store.bucket, Key=name, Body=b"x"
        )


async def kept(house: House) -> set[str]:
    listing = await asyncio.to_thread(
        house.rooms.store.client.list_objects_v2, Bucket=house.rooms.store.bucket
    )
    return {item["Key"] for item in listing.get("Contents", []) if "Key" in item}


async def finish(house: House, job: JobInput) -> None:
    async with house.rooms.database.transaction() as session:
        for status in (JobStatus.QUEUED, JobStatus.RUNNING):
            await jobs.set_status(session, StatusChange(job_id=job.job_id, status=status))
        done = Complete(job_id=job.job_id, credits=10, outcome=RESULT)
        await settlement.complete_job(session, done, ORIGIN)


async def grow_old(house: House, table: str, column: str, key: str, value: str) -> None:
    """Two months pass for these rows, which the triggers would not allow while they look."""
    async with house.rooms.database.transaction() as session:
        await session.execute(text("SET LOCAL session_replication_role = replica"))
        await session.execute(
            text(f"UPDATE {table} SET {column} = {column} - interval '60 days' WHERE {key} = :value"),
            {"value": value},
        )


async def clean_up(house: House, job: JobInput) -> int:
    activities = HousekeepingActivities(house.rooms)
    return await ActivityEnvironment().run(activities.clean_up, JobRef(job_id=job.job_id))


async def retain(house: House) -> RetentionReport:
    return await ActivityEnvironment().run(HousekeepingActivities(house.rooms).retain, RetentionRequest())


async def test_a_job_that_has_ended_keeps_its_source_and_result_and_loses_its_work(house: House) -> None:
    job, other = await house.open_job(), await house.open_job()
    segment, stray = keys.segment_key(job.job_id, "f", 0), keys.segment_key(other.job_id, "f", 0)
    result, source = keys.result_key(job.job_id, "c"), keys.source_key(job.user_id, job.video_id)
    await put(house, segment, stray, result, source)

    assert await clean_up(house, job) == 0  # it still runs
    await finish(house, job)
    assert await clean_up(house, job) == 1
    assert await kept(house) == {stray, result, source}
    assert await clean_up(house, job) == 0


async def test_a_job_without_a_result_leaves_no_half_published_one(house: House) -> None:
    job = await house.open_job()
    await put(house, keys.result_key(job.job_id, "c"), keys.source_key(job.user_id, job.video_id))
    await settle(house, job)
    await clean_up(house, job)
    assert await kept(house) == {keys.source_key(job.user_id, job.video_id)}


async def test_a_rejected_upload_is_deleted_with_its_job(house: House) -> None:
    job = await house.open_job()
    await put(house, keys.source_key(job.user_id, job.video_id))
    async with house.rooms.database.transaction() as session:
        await videos.mark_rejected(session, job.video_id, "corrupt")
    await settle(house, job)
    await clean_up(house, job)
    assert await kept(house) == set()


async def test_retention_takes_what_is_old_and_nothing_else(house: House) -> None:
    old, young, running = [await house.open_job() for _ in range(3)]
    names = {
        (job.job_id, what): key
        for job in (old, young, running)
        for what, key in (
            ("result", keys.result_key(job.job_id, "c")),
            ("work", keys.segment_key(job.job_id, "f", 0)),
            ("source", keys.source_key(job.user_id, job.video_id)),
        )
    }
    await put(house, *names.values())
    await finish(house, old)
    await finish(house, young)
    await grow_old(house, "videos", "expires_at", "job_id", old.job_id)
    for job in (old, running):
        await grow_old(house, "videos", "created_at", "id", job.video_id)
    await grow_old(house, "jobs", "finished_at", "id", old.job_id)

    assert await retain(house) == RetentionReport(results_deleted=1, sources_deleted=1, work_files_deleted=1)
    assert await kept(house) == {key for (job_id, _), key in names.items() if job_id != old.job_id}
    assert await retain(house) == RetentionReport()

    # A worker that was thought dead writes a segment after all.
    await put(house, names[old.job_id, "work"])
    assert await retain(house) == RetentionReport(work_files_deleted=1)
    await house.assert_books_coherent()
