"""Support resets a workflow to an earlier event: every step after it runs again, and no credit moves twice."""

from __future__ import annotations

import contextlib

import pytest
from temporalio.client import WorkflowExecutionStatus, WorkflowFailureError

from contracts.errors import Code
from contracts.jobs import Attention
from contracts.video_job import JobInput
from tests.workflows.house import Handle, House, card_of, failure_of, task_completions, until
from tests.workflows.stand_ins import Fails, Gate


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
