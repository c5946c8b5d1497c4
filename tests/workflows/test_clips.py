"""A job of many clips: each stands alone, and what was made is what is paid for."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from temporalio.exceptions import ApplicationError, CancelledError

from contracts.errors import Code
from contracts.jobs import Attention
from contracts.video_job import JobInput
from db import music as analyses
from tests.workflows.clipping import (
    CHORUS,
    PRICE,
    VERSE,
    assert_nothing_moved,
    clips_of,
    open_clips,
    open_free,
    told,
)
from tests.workflows.house import Handle, House, failure_of
from tests.workflows.stand_ins import ANALYSIS, Fails, Gate
from tests.workflows.test_reset import reset_everywhere
from tests.workflows.test_sweep import grow_old, sweep
from workflows.client import cancel_job

READY = ("ready", None)


async def run(house: House, job: JobInput) -> Handle:
    handle = await house.start(job)
    await handle.result()
    return handle


async def analysed(house: House, job: JobInput) -> bool:
    async with house.rooms.database.read() as session:
        return await analyses.latest(session, job.video_id) is not None


async def test_all_that_are_made_are_paid_for_and_kept(house: House) -> None:
    job = await open_clips(house, VERSE, VERSE, VERSE)
    await run(house, job)
    await house.assert_captured(job, 3 * PRICE)
    assert await told(house, job) == [READY] * 3
    assert all(clip.made is not None and clip.expires_at for clip in await clips_of(house, job))
    assert "analyse_music" not in house.stand_ins.calls[job.job_id]


async def test_those_that_fail_cost_nothing_and_each_says_why(house: House) -> None:
    house.stand_ins.on |= {"cut_clip/1": Fails(Code.CLIP_TOO_LARGE), "cut_clip/2": Fails(Code.ENGINE_CRASHED)}
    job = await open_clips(house, VERSE, VERSE, VERSE, VERSE)
    await run(house, job)
    await house.assert_captured(job, 2 * PRICE)
    assert await told(house, job) == [
        READY,
        ("failed", Code.CLIP_TOO_LARGE),
        ("failed", Code.ENGINE_CRASHED),
        READY,
    ]
    assert house.stand_ins.notices[job.job_id] == ["succeeded"]


async def test_when_none_can_be_made_the_first_reason_ends_the_job_and_each_clip_keeps_its_own(
    house: House,
) -> None:
    house.stand_ins.on |= {"cut_clip/0": Fails(Code.CLIP_TOO_LARGE), "cut_clip/1": Fails(Code.CORRUPT)}
    job = await open_clips(house, VERSE, VERSE)
    failure = await failure_of(await house.start(job))
    assert isinstance(failure, ApplicationError)
    assert failure.type == Code.CLIP_TOO_LARGE
    await house.assert_released(job, "FAILED", Code.CLIP_TOO_LARGE)
    assert await told(house, job) == [("failed", Code.CLIP_TOO_LARGE), ("failed", Code.CORRUPT)]


async def without_any(house: House) -> tuple[JobInput, Handle]:
    """A job that waits for support: of its two clips one is hopeless, and the other failed by our fault."""
    house.stand_ins.on |= {"cut_clip/0": Fails(Code.CORRUPT), "cut_clip/1": Fails(Code.ENGINE_CRASHED)}
    job = await open_clips(house, VERSE, VERSE)
    handle = await house.start(job)
    await house.until_waiting(job, Attention.FAULT)
    return job, handle


async def test_when_none_is_made_by_our_fault_support_may_have_them_tried_again(house: House) -> None:
    job, handle = await without_any(house)
    await handle.execute_update("retry")
    await handle.result()
    await house.assert_captured(job, 2 * PRICE)
    assert await told(house, job) == [READY] * 2


async def test_when_none_is_made_by_our_fault_support_may_give_them_up(house: House) -> None:
    job, handle = await without_any(house)
    await handle.execute_update("give_up")
    await failure_of(handle)
    await house.assert_released(job, "FAILED", Code.GIVEN_UP_BY_SUPPORT)
    assert await told(house, job) == [("failed", Code.GIVEN_UP_BY_SUPPORT)] * 2


async def test_a_cancellation_stops_every_cut_and_releases_all(house: House) -> None:
    gates = [house.stand_ins.on.setdefault(f"cut_clip/{each}", Gate()) for each in (1, 2)]
    job = await open_clips(house, VERSE, VERSE, VERSE)
    handle = await house.start(job)
    for gate in gates:
        assert isinstance(gate, Gate)
        await gate.reached.wait()
    await cancel_job(house.client, house.settings, job)
    assert isinstance(await failure_of(handle), CancelledError)
    await house.assert_released(job, "CANCELED", Code.CANCELED_BY_USER)
    assert await told(house, job) == [("failed", Code.CANCELED_BY_USER)] * 3
    for gate in gates:
        assert isinstance(gate, Gate)
        await asyncio.wait_for(gate.canceled.wait(), 30)


async def test_a_highlight_has_the_music_heard_first_which_the_video_keeps(house: House) -> None:
    job = await open_clips(house, CHORUS, VERSE)
    await run(house, job)
    await house.assert_captured(job, 2 * PRICE)
    assert [clip.type for clip in await clips_of(house, job)] == ["chorus", "chorus"]
    async with house.rooms.database.read() as session:
        assert await analyses.latest(session, job.video_id) == (ANALYSIS, ANALYSIS.summary.sections)


async def test_without_music_the_highlight_fails_and_the_range_beside_it_is_cut(house: House) -> None:
    house.stand_ins.on["analyse_music"] = Fails(Code.NO_MUSIC)
    job = await open_clips(house, CHORUS, VERSE)
    await run(house, job)
    await house.assert_captured(job, PRICE)
    assert await told(house, job) == [("failed", Code.NO_MUSIC), READY]
    assert not await analysed(house, job)


async def test_without_music_a_job_of_highlights_alone_costs_nothing(house: House) -> None:
    house.stand_ins.on["analyse_music"] = Fails(Code.NO_MUSIC)
    job = await open_clips(house, CHORUS)
    await failure_of(await house.start(job))
    await house.assert_released(job, "FAILED", Code.NO_MUSIC)


async def test_a_fault_of_ours_while_the_music_is_heard_waits_for_support(house: House) -> None:
    house.stand_ins.on["analyse_music"] = Fails(Code.ENGINE_STALLED)
    job = await open_clips(house, CHORUS, VERSE)
    handle = await house.start(job)
    await house.until_waiting(job, Attention.FAULT)
    assert "cut_clip/1" not in house.stand_ins.calls[job.job_id]
    await handle.execute_update("retry")
    await handle.result()
    await house.assert_captured(job, 2 * PRICE)


async def test_a_reset_after_the_capture_of_a_part_takes_nothing_again(house: House) -> None:
    house.stand_ins.on["cut_clip/0"] = Fails(Code.CORRUPT)
    job = await open_clips(house, VERSE, VERSE)
    handle = await run(house, job)
    transfers = await house.transfers(job)
    # Were it asked again, the first clip could be made now.
    await reset_everywhere(house, job, handle)
    await house.assert_captured(job, PRICE)
    assert await house.transfers(job) == transfers
    assert await told(house, job) == [("failed", Code.CORRUPT), READY]


async def test_a_song_is_analysed_for_its_price(house: House) -> None:
    job = await house.open_job(kind="music", quote=2)
    await run(house, job)
    await house.assert_captured(job, 2)
    assert await analysed(house, job)


# ---- jobs that cost nothing -----------------------------------------------------------------------------


async def a_clip(house: House) -> JobInput:
    """Paid for and made."""
    job = await open_clips(house, VERSE)
    await run(house, job)
    return job


async def fails(house: House, job: JobInput) -> Handle:
    house.stand_ins.on[f"{job.job_id}/cut_clip/0"] = Fails(Code.CLIP_TOO_LARGE)
    handle = await house.start(job)
    await failure_of(handle)
    return handle


async def is_canceled(house: House, job: JobInput) -> Handle:
    gate = house.stand_ins.on[f"{job.job_id}/cut_clip/0"] = Gate()
    handle = await house.start(job)
    await gate.reached.wait()
    await cancel_job(house.client, house.settings, job)
    await failure_of(handle)
    return handle


async def is_given_up(house: House, job: JobInput) -> Handle:
    house.stand_ins.on[f"{job.job_id}/cut_clip/0"] = Fails(Code.ENGINE_CRASHED)
    handle = await house.start(job)
    await house.until_waiting(job, Attention.FAULT)
    await handle.execute_update("give_up")
    await failure_of(handle)
    return handle


@pytest.mark.parametrize(
    ("live", "status", "code"),
    [
        (run, "SUCCEEDED", None),
        (fails, "FAILED", Code.CLIP_TOO_LARGE),
        (is_canceled, "CANCELED", Code.CANCELED_BY_USER),
        (is_given_up, "FAILED", Code.GIVEN_UP_BY_SUPPORT),
    ],
    ids=lambda each: getattr(each, "__name__", ""),
)
async def test_a_free_regeneration_goes_through_the_saga_and_moves_no_credit_even_when_reset(
    house: House, live: Callable[[House, JobInput], Awaitable[Handle]], status: str, code: Code | None
) -> None:
    paid = await a_clip(house)
    job = await open_free(house, paid)
    handle = await live(house, job)
    row, saga = await house.job(job), await house.saga(job)
    assert (row.status, row.failure_code, row.hold_id) == (status, code, None)
    assert await told(house, job) == [READY if code is None else ("failed", code)]

    await reset_everywhere(house, job, handle)
    after = await house.job(job)
    assert (after.status, after.version, await house.saga(job)) == (status, row.version, saga)
    await assert_nothing_moved(house, job)
    await house.assert_captured(paid, PRICE)


async def test_a_free_regeneration_that_failed_may_be_asked_again(house: House) -> None:
    paid = await a_clip(house)
    await fails(house, await open_free(house, paid))
    job = await open_free(house, paid)
    await run(house, job)
    (before,), (clip,) = await clips_of(house, paid), await clips_of(house, job)
    assert (clip.regenerated_from, clip.credits, clip.state) == (before.id, 0, "ready")
    await assert_nothing_moved(house, job)


async def test_a_free_regeneration_whose_workflow_was_terminated_is_settled_by_the_sweep(
    house: House,
) -> None:
    job = await open_free(house, await a_clip(house))
    gate = house.stand_ins.on["cut_clip/0"] = Gate()
    handle = await house.start(job)
    await gate.reached.wait()
    await handle.terminate("an operator was in a hurry")
    await grow_old(house, job)
    assert (await sweep(house)).settled == 1
    assert await told(house, job) == [("failed", Code.WORKFLOW_TERMINATED)]
    await assert_nothing_moved(house, job)
