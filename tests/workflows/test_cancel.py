"""A user may cancel in every state; what counts is what the books say afterwards."""

from __future__ import annotations

import asyncio

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.exceptions import CancelledError

from contracts.errors import Code
from contracts.jobs import Attention
from contracts.queues import Queue
from tests.workflows.house import Handle, House, failure_of, until, workers
from tests.workflows.slow_steps import GatedStep
from tests.workflows.stand_ins import Fails, Gate
from workflows.client import announce_upload, cancel_job


async def assert_canceled(house: House, handle: Handle, job) -> None:
    assert isinstance(await failure_of(handle), CancelledError)
    granted = (await house.balance(job)).available
    await house.assert_released(job, "CANCELED", Code.CANCELED_BY_USER, granted=granted)
    assert granted in (25, 100)
    assert house.stand_ins.notices[job.job_id][-1] == "canceled"


async def test_before_the_upload(house: House) -> None:
    job = await house.open_job(uploaded=False)
    handle = await house.start(job)
    await until(lambda: holds(house, job))
    await cancel_job(house.client, house.settings, job)
    await assert_canceled(house, handle, job)


async def holds(house: House, job) -> bool:
    return ("hold", "done") in (await house.saga(job))[1:]


async def test_before_any_worker_has_seen_the_job(closed_house: House) -> None:
    """Start and cancellation reach the workflow in one task: its first line must still run."""
    job = await closed_house.open_job(uploaded=False)
    handle = await closed_house.start(job)
    await cancel_job(closed_house.client, closed_house.settings, job)
    async with workers(closed_house):
        await assert_canceled(closed_house, handle, job)


async def test_before_the_workflow_was_ever_started(house: House) -> None:
    """The API died between its commit and the start."""
    job = await house.open_job(uploaded=False)
    await cancel_job(house.client, house.settings, job)
    await assert_canceled(house, house.handle(job), job)


@pytest.mark.parametrize("step", ["ingest", "plan_enhance", "enhance_segment/1", "mux_enhanced"])
async def test_while_a_step_runs_which_is_stopped_too(house: House, step: str) -> None:
    gate = house.stand_ins.on[step] = Gate()
    job = await house.open_job()
    handle = await house.start(job)
    await gate.reached.wait()
    await cancel_job(house.client, house.settings, job)
    await assert_canceled(house, handle, job)
    await asyncio.wait_for(gate.canceled.wait(), 30)


async def test_while_waiting_for_missing_credits(house: House) -> None:
    house.stand_ins.credits = 60
    job = await house.open_job(credits=25)
    handle = await house.start(job)
    await house.until_waiting(job, Attention.FUNDS)
    await cancel_job(house.client, house.settings, job)
    await assert_canceled(house, handle, job)


async def test_while_waiting_for_support(house: House) -> None:
    house.stand_ins.on["plan_enhance"] = Fails(Code.ENGINE_STALLED)
    job = await house.open_job()
    handle = await house.start(job)
    await house.until_waiting(job, Attention.FAULT)
    await cancel_job(house.client, house.settings, job)
    await assert_canceled(house, handle, job)


async def test_while_support_is_being_told(house: House) -> None:
    """The notice is best effort, but the cancellation that meets it is not to be ignored with it."""
    telling = house.stand_ins.on["notify"] = Gate()
    house.stand_ins.on["plan_enhance"] = Fails(Code.ENGINE_STALLED)
    job = await house.open_job()
    handle = await house.start(job)
    await telling.reached.wait()
    del house.stand_ins.on["notify"]
    await cancel_job(house.client, house.settings, job)
    await assert_canceled(house, handle, job)
    telling.opened.set()


async def test_during_the_capture_the_capture_wins(closed_house: House) -> None:
    capture = GatedStep("complete")
    closed_house.interceptors[Queue.CORE].append(capture)
    async with workers(closed_house):
        job = await closed_house.open_job()
        handle = await closed_house.start(job)
        await capture.reached.wait()
        await cancel_job(closed_house.client, closed_house.settings, job)
        await until(lambda: cancel_is_recorded(handle))
        capture.opened.set()
        assert (await handle.result()).status == "SUCCEEDED"
    await closed_house.assert_captured(job)


async def test_during_the_release_of_a_failed_job_it_stays_failed(closed_house: House) -> None:
    closed_house.stand_ins.on["ingest"] = Fails(Code.TRUNCATED)
    release = GatedStep("release")
    closed_house.interceptors[Queue.CORE].append(release)
    async with workers(closed_house):
        job = await closed_house.open_job()
        handle = await closed_house.start(job)
        await release.reached.wait()
        await cancel_job(closed_house.client, closed_house.settings, job)
        await until(lambda: cancel_is_recorded(handle))
        release.opened.set()
        await failure_of(handle)
    await closed_house.assert_released(job, "FAILED", Code.TRUNCATED)


async def test_after_the_end_it_changes_nothing(house: House) -> None:
    job = await house.open_job()
    await (await house.start(job)).result()
    before = await house.job(job)
    await cancel_job(house.client, house.settings, job)
    assert (await house.job(job)).version == before.version
    await house.assert_captured(job)


async def test_in_the_farewell_the_job_stays_succeeded(house: House) -> None:
    leaving = house.stand_ins.on["clean_up"] = Gate()
    job = await house.open_job()
    handle = await house.start(job)
    await leaving.reached.wait()
    await cancel_job(house.client, house.settings, job)
    await until(lambda: cancel_is_recorded(handle))
    leaving.opened.set()
    assert (await handle.result()).status == "SUCCEEDED"
    await house.assert_captured(job)


async def test_that_meets_the_upload_leaves_one_ending(house: House) -> None:
    # Should the upload be heard of first: the job does not succeed before it hears of the rest.
    house.stand_ins.on["ingest"] = Gate()
    job = await house.open_job(uploaded=False)
    handle = await house.start(job)
    await asyncio.gather(
        announce_upload(house.client, job.job_id), cancel_job(house.client, house.settings, job)
    )
    await assert_canceled(house, handle, job)


async def test_by_a_core_worker_that_was_replaced_meanwhile(closed_house: House) -> None:
    job = await closed_house.open_job()
    gate = closed_house.stand_ins.on["ingest"] = Gate()
    async with workers(closed_house, Queue.TRANSFER, Queue.PROVIDERS, Queue.GPU):
        async with workers(closed_house, Queue.CORE):
            handle = await closed_house.start(job)
            await gate.reached.wait()
        await cancel_job(closed_house.client, closed_house.settings, job)
        async with workers(closed_house, Queue.CORE):
            await assert_canceled(closed_house, handle, job)


async def cancel_is_recorded(handle: Handle) -> bool:
    requested = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_CANCEL_REQUESTED
    return requested in [event.event_type async for event in handle.fetch_history_events()]
