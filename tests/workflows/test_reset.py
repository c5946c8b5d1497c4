"""Support resets a workflow to an earlier event: every step after it runs again, and no credit moves twice."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable

import pytest
from temporalio.client import WorkflowExecutionStatus, WorkflowFailureError

from contracts.errors import Code
from contracts.jobs import Attention
from contracts.video_job import JobInput
from tests.workflows.house import Handle, House, card_of, failure_of, task_completions, until
from tests.workflows.stand_ins import Fails, Gate
from tests.workflows.stories import until_it_waits
from tests.workflows.test_sweep import grow_old, sweep
from workflows.client import cancel_job


async def reset_everywhere(house: House, job: JobInput, handle: Handle) -> int:
    """Resets to every workflow task of the first run, one after the other; the number of resets."""
    first = await handle.describe()
    targets = await task_completions(handle)
    for event in targets:
        again = await house.reset(job, event, first.run_id)
        with contextlib.suppress(WorkflowFailureError):
            await again.result()
        # The end of a cancelled job is no cancellation to a run that nobody has cancelled.
        succeeded = [
            run.status is WorkflowExecutionStatus.COMPLETED for run in (first, await again.describe())
        ]
        assert succeeded[0] == succeeded[1]
    return len(targets)


async def called_support(house: House, job: JobInput, times: int) -> bool:
    return house.stand_ins.notices[job.job_id] == ["attention"] * times


async def test_after_the_capture_it_takes_nothing_again(house: House) -> None:
    job = await house.open_job(quote=30)  # the hold is adjusted, too
    handle = await house.start(job)
    await handle.result()
    row, transfers, saga = await house.job(job), await house.transfers(job), await house.saga(job)

    assert await reset_everywhere(house, job, handle) >= 5
    await house.assert_captured(job)
    assert (await house.transfers(job), await house.saga(job)) == (transfers, saga)
    after = await house.job(job)
    assert (after.version, after.finished_at, after.result_video_id) == (
        row.version,
        row.finished_at,
        row.result_video_id,
    )
    latest = house.handle(job)
    assert (await latest.result()).status == "SUCCEEDED"
    card = await card_of(latest)
    assert "10 captured" in card
    assert "went wrong" not in card


async def test_after_a_failure_it_releases_nothing_again_and_stays_failed(house: House) -> None:
    house.stand_ins.on["enhance_segment/1"] = Fails(Code.CORRUPT)
    job = await house.open_job()
    handle = await house.start(job)
    await failure_of(handle)
    row, transfers, saga = await house.job(job), await house.transfers(job), await house.saga(job)

    await reset_everywhere(house, job, handle)
    await house.assert_released(job, "FAILED", Code.CORRUPT)
    assert (await house.transfers(job), await house.saga(job)) == (transfers, saga)
    assert (await house.job(job)).version == row.version
    assert Code.CORRUPT in await card_of(house.handle(job))


async def test_after_support_gave_up_it_waits_for_nobody_again(house: House) -> None:
    house.stand_ins.on["mux_enhanced"] = Fails(Code.RESULT_UNVERIFIED)
    job = await house.open_job()
    handle = await house.start(job)
    await until(lambda: called_support(house, job, times=1))
    await handle.execute_update("give_up")
    await failure_of(handle)
    row, saga = await house.job(job), await house.saga(job)

    await reset_everywhere(house, job, handle)
    await house.assert_released(job, "FAILED", Code.GIVEN_UP_BY_SUPPORT)
    assert ((await house.job(job)).version, await house.saga(job)) == (row.version, saga)


async def awaits_its_upload(house: House) -> JobInput:
    return await house.open_job(uploaded=False)


async def awaits_credits(house: House) -> JobInput:
    house.stand_ins.credits = 60
    return await house.open_job(credits=25)


async def awaits_support(house: House) -> JobInput:
    house.stand_ins.on["mux_enhanced"] = Fails(Code.RESULT_UNVERIFIED)
    return await house.open_job()


@pytest.mark.parametrize("by", ["its user", "the sweep"])
@pytest.mark.parametrize("opened", [awaits_its_upload, awaits_credits, awaits_support])
async def test_after_it_was_ended_while_it_waited_it_does_not_wait_again(
    house: House, opened: Callable[[House], Awaitable[JobInput]], by: str
) -> None:
    """Also to the moment between its last step and its waiting, when no step is left that could learn of the end."""
    job = await opened(house)
    handle = await house.start(job)
    await until_it_waits(handle)
    if by == "the sweep":
        await handle.terminate("an operator was in a hurry")
        await grow_old(house, job)
        await sweep(house)
    else:
        await cancel_job(house.client, house.settings, job)
        await failure_of(handle)
    row, transfers, saga = await house.job(job), await house.transfers(job), await house.saga(job)

    await reset_everywhere(house, job, handle)
    after = await house.job(job)
    assert (after.status, after.failure_code, after.version) == (row.status, row.failure_code, row.version)
    assert (await house.transfers(job), await house.saga(job)) == (transfers, saga)
    await house.assert_books_coherent()


async def test_in_the_middle_it_finishes_once_while_the_old_runs_steps_still_run(house: House) -> None:
    gate = house.stand_ins.on["enhance_segment/1"] = Gate()
    job = await house.open_job()
    handle = await house.start(job)
    await gate.reached.wait()

    beginning = (await task_completions(handle))[0]
    del house.stand_ins.on["enhance_segment/1"]
    again = await house.reset(job, beginning)
    assert (await again.result()).status == "SUCCEEDED"
    gate.opened.set()
    await house.assert_captured(job)
    assert house.stand_ins.calls[job.job_id].count("enhance_segment/1") >= 2


async def test_of_a_job_that_waits_for_support_waits_again(house: House) -> None:
    house.stand_ins.on["mux_enhanced"] = Fails(Code.RESULT_UNVERIFIED, times=2)
    job = await house.open_job()
    handle = await house.start(job)
    # The notice is what a run does last before it waits; a reset before it would take the notice away.
    await until(lambda: called_support(house, job, times=1))

    again = await house.reset(job, (await task_completions(handle))[1])
    await until(lambda: called_support(house, job, times=2))
    await again.execute_update("retry")
    await again.result()
    await house.assert_captured(job)


async def test_to_before_what_the_job_has_reached_everybody_sees_it_wait_for_support(house: House) -> None:
    gate = house.stand_ins.on["enhance_segment/1"] = Gate()
    job = await house.open_job()
    handle = await house.start(job)
    await gate.reached.wait()
    house.stand_ins.on["ingest"] = Fails(Code.STORAGE_UNAVAILABLE)
    again = await house.reset(job, (await task_completions(handle))[0])
    await house.until_waiting(job, Attention.FAULT)
    row = await house.job(job)
    assert (row.status, row.failure_code) == ("RUNNING", Code.STORAGE_UNAVAILABLE)

    gate.opened.set()
    await again.execute_update("retry")
    await again.result()
    await house.assert_captured(job)
    waited = [outcome for step, outcome in await house.saga(job) if step == "attention"]
    assert waited == ["waiting", "done"]


@pytest.mark.parametrize("moment", ["awaiting the upload", "awaiting credits"])
async def test_while_the_job_waits_for_its_user_keeps_what_the_user_has_done(
    house: House, moment: str
) -> None:
    """Signals after the reset point are applied again, so an announced upload stays announced."""
    short = moment == "awaiting credits"
    house.stand_ins.credits = 60 if short else 10
    job = await house.open_job(uploaded=False, credits=25 if short else 100)
    handle = await house.start(job)
    await handle.signal("ingested")
    if short:
        await house.until_waiting(job, Attention.FUNDS)
        await house.grant(job, 75)
        await handle.signal("funds_added")
    await handle.result()
    again = await house.reset(job, (await task_completions(handle))[0])
    assert (await again.result()).status == "SUCCEEDED"
    await house.assert_captured(job, 60 if short else 10)


@pytest.mark.parametrize("task", [0, 1], ids=["its first task", "before it waited"])
async def test_without_the_signals_that_came_since_an_announced_upload_stays_announced(
    house: House, task: int
) -> None:
    gate = house.stand_ins.on["plan_enhance"] = Gate()
    job = await house.open_job(uploaded=False)
    handle = await house.start(job)
    await until_it_waits(handle)
    await handle.signal("ingested")
    await gate.reached.wait()
    again = await house.reset(job, (await task_completions(handle))[task], signals=False)
    gate.opened.set()
    assert (await again.result()).status == "SUCCEEDED"
    await house.assert_captured(job)
