"""The life of a job that nobody has to help: what happens to it, and to the credits that pay for it."""

from __future__ import annotations

from temporalio.exceptions import ApplicationError

from contracts.errors import Code
from contracts.jobs import JobStatus
from contracts.ledger import CreditEffect
from tests.workflows.house import House, failure_of, workers
from tests.workflows.stand_ins import Fails
from workflows import search
from workflows.client import announce_upload, start_job


async def test_a_job_that_works_captures_its_price_and_registers_its_result(house: House) -> None:
    job = await house.open_job(uploaded=False)
    handle = await house.start(job)
    await announce_upload(house.client, job.job_id)
    outcome = await handle.result()

    assert (outcome.status, outcome.credit_effect, outcome.credits) == (
        "SUCCEEDED",
        CreditEffect.CAPTURED,
        10,
    )
    assert outcome.result_key == "result/job_x/c/video.mp4"
    await house.assert_captured(job)
    assert await house.transfers(job) == [("hold", 10), ("capture", 10)]
    assert await house.saga(job) == [("hold", "done"), ("hold", "done"), ("capture", "done")]
    assert house.stand_ins.calls[job.job_id][-2:] == ["notify", "clean_up"]
    assert house.stand_ins.notices[job.job_id] == ["succeeded"]

    found = (await handle.describe()).typed_search_attributes
    assert found[search.JOB_STATUS] == JobStatus.SUCCEEDED
    assert found[search.CREDITS_HELD] == 0
    assert found[search.NEEDS_ATTENTION] is False
    assert found[search.USER_ID] == job.user_id


async def test_a_job_whose_video_never_comes_expires_and_releases(house: House) -> None:
    job = await house.open_job(uploaded=False)
    handle = await house.start(job, skip_time=True)

    assert (await handle.result()).status is JobStatus.EXPIRED
    await house.assert_released(job, "EXPIRED", Code.UPLOAD_EXPIRED)
    assert house.stand_ins.calls[job.job_id] == ["notify", "clean_up"]
    assert house.stand_ins.notices[job.job_id] == ["expired"]


async def test_a_rejected_file_fails_the_job_without_asking_anybody(house: House) -> None:
    house.stand_ins.on["ingest"] = Fails(Code.NOT_A_VIDEO)
    job = await house.open_job()
    failure = await failure_of(await house.start(job))

    assert isinstance(failure, ApplicationError)
    assert failure.type == Code.NOT_A_VIDEO
    await house.assert_released(job, "FAILED", Code.NOT_A_VIDEO)
    assert house.stand_ins.calls[job.job_id] == ["ingest", "notify", "clean_up"]
    assert not any(event.attention for event in await house.events(job))


async def test_a_source_found_damaged_in_one_segment_fails_the_job_though_the_others_were_stopped(
    house: House,
) -> None:
    house.stand_ins.on["enhance_segment/2"] = Fails(Code.CORRUPT)
    job = await house.open_job()
    failure = await failure_of(await house.start(job))

    assert isinstance(failure, ApplicationError)
    assert failure.type == Code.CORRUPT
    await house.assert_released(job, "FAILED", Code.CORRUPT)


async def test_an_unknown_exception_in_a_pipeline_still_releases(house: House) -> None:
    # The registry has no such kind: a KeyError, which no line of the saga expects.
    job = (await house.open_job()).model_copy(update={"kind": "fancam"})
    house.stand_ins.on["ingest"] = Fails(Code.INTERNAL, times=0)
    await house.client.start_workflow(
        "VideoJob", job, id=job.workflow_id, task_queue=house.settings.queue_prefix + "core"
    )
    failure = await failure_of(house.handle(job))

    assert isinstance(failure, ApplicationError)
    assert failure.type == Code.INTERNAL
    await house.assert_released(job, "FAILED", Code.INTERNAL)
    assert "KeyError" in (await house.job(job)).detail


async def test_a_copy_under_another_id_refuses_and_touches_nothing(house: House) -> None:
    job = await house.open_job()
    copy = await house.client.start_workflow(
        "VideoJob", job, id=f"copy-of-{job.job_id}", task_queue=house.settings.queue_prefix + "core"
    )
    failure = await failure_of(copy)

    assert isinstance(failure, ApplicationError)
    assert failure.type == Code.WORKFLOW_ID_MISMATCH
    row, balance = await house.job(job), await house.balance(job)
    assert (row.status, balance.held) == ("INGESTED", 10)
    assert await house.saga(job) == [("hold", "done")]
    assert house.stand_ins.calls[job.job_id] == []


async def test_a_job_is_started_once_however_often_the_api_tries(house: House) -> None:
    job = await house.open_job()
    handle = await house.start(job)
    assert not await start_job(house.client, house.settings, job)
    await handle.result()
    assert not await start_job(house.client, house.settings, job)
    await house.assert_captured(job)


async def test_a_worker_without_memory_of_the_job_goes_on_where_it_stands(closed_house: House) -> None:
    """With no cache every workflow task replays the whole history, as after a crash at each step."""
    async with workers(closed_house, workflow_cache=0):
        job = await closed_house.open_job()
        await (await closed_house.start(job)).result()
    await closed_house.assert_captured(job)
