"""The sweeper: jobs whose workflow is gone are settled, jobs that never got one are started."""

from __future__ import annotations

from uuid import uuid4

from sqlalchemy import text
from temporalio.client import WorkflowExecutionStatus

from contracts.errors import Code
from contracts.jobs import JobStatus
from contracts.maintenance import SweepReport
from contracts.video_job import JobInput
from db import videos
from tests.workflows.house import House, task_completions
from tests.workflows.stand_ins import Gate
from workflows.maintenance import SweepWorkflow


async def sweep(house: House) -> SweepReport:
    return await house.client.execute_workflow(
        SweepWorkflow.run, id=f"sweep-{uuid4().hex}", task_queue=house.settings.queue_prefix + "core"
    )


async def grow_old(house: House, job: JobInput) -> None:
    """Older than the grace that a job has to get its workflow."""
    async with house.rooms.database.transaction() as session:
        await session.execute(
            text("UPDATE jobs SET created_at = created_at - interval '1 hour' WHERE id = :job"),
            {"job": job.job_id},
        )


async def test_a_terminated_job_is_released_and_says_why(house: House) -> None:
    gate = house.stand_ins.on["enhance_segment/0"] = Gate()
    job = await house.open_job()
    handle = await house.start(job)
    await gate.reached.wait()
    await handle.terminate("an operator was in a hurry")
    assert (await house.job(job)).status is JobStatus.RUNNING
    await grow_old(house, job)

    assert await sweep(house) == SweepReport(examined=1, settled=1)
    await house.assert_released(job, "FAILED", Code.WORKFLOW_TERMINATED)
    assert (await house.job(job)).detail == "workflow terminated"
    await gate.canceled.wait()
    assert await sweep(house) == SweepReport()


async def test_a_job_that_was_never_started_is_started(house: House) -> None:
    job = await house.open_job()
    await grow_old(house, job)
    assert await sweep(house) == SweepReport(examined=1, started=1)
    await house.handle(job).result()
    await house.assert_captured(job)


async def test_a_job_whose_upload_was_written_down_and_not_announced_goes_on(house: House) -> None:
    """The API died between its row and its signal, and the customer's app did not ask again."""
    job = await house.open_job(uploaded=False)
    handle = await house.start(job)
    async with house.rooms.database.transaction() as session:
        await videos.mark_uploaded(session, job.video_id)
    await grow_old(house, job)
    assert await sweep(house) == SweepReport(examined=1, uploads_announced=1)
    await handle.result()
    await house.assert_captured(job)


async def test_a_young_job_and_a_living_one_are_left_alone(house: House) -> None:
    young = await house.open_job()
    living = await house.open_job(uploaded=False)
    handle = await house.start(living)
    await grow_old(house, living)
    assert await sweep(house) == SweepReport(examined=1)
    assert (await handle.describe()).status is WorkflowExecutionStatus.RUNNING
    assert (await house.job(young)).status is JobStatus.INGESTED
    await handle.terminate()


async def test_a_job_that_was_reset_is_left_to_its_new_run(house: House) -> None:
    """The old run is terminated by the reset, which the sweeper must not take for the end."""
    job = await house.open_job(uploaded=False)
    handle = await house.start(job)
    await handle.query("status")
    await house.reset(job, (await task_completions(handle))[0])
    await grow_old(house, job)
    assert await sweep(house) == SweepReport(examined=1)
    assert (await house.job(job)).status is JobStatus.CREATED
    await house.handle(job).terminate()


async def test_one_job_that_cannot_be_settled_does_not_keep_the_others_waiting(house: House) -> None:
    stuck, swept = await house.open_job(), await house.open_job()
    for job in (stuck, swept):
        await (await house.start(job.model_copy(update={"uploaded": False}))).terminate()
        await grow_old(house, job)
    async with house.rooms.database.transaction() as session:
        # A row from elsewhere that no rule of ours allows: the table's own checks are off for it.
        await session.execute(text("SET LOCAL session_replication_role = replica"))
        await session.execute(
            text("UPDATE jobs SET hold_id = gen_random_uuid() WHERE id = :job"), {"job": stuck.job_id}
        )
    assert await sweep(house) == SweepReport(examined=2, settled=1, failed=1)
    assert (await house.job(swept)).status is JobStatus.FAILED
