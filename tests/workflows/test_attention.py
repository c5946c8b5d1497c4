"""A fault of ours asks for a person: support sees what happened, and presses `retry` or `give_up`."""

from __future__ import annotations

import asyncio

import pytest
from temporalio.client import WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError

from contracts.errors import Code, sentence
from contracts.jobs import Attention, EventType
from contracts.video_job import GiveUpRequest, JobInput, RetryRequest
from tests.workflows.house import Handle, House, card_of, failure_of, until
from tests.workflows.stand_ins import Fails, Gate
from workflows import search
from workflows.video_job import VideoJobWorkflow


async def stuck(house: House, **opened: object) -> tuple[JobInput, Handle]:
    """A job whose second segment has failed for good, and which therefore waits for support."""
    house.stand_ins.on["enhance_segment/1"] = Fails(Code.ENGINE_CRASHED)
    job = await house.open_job(**opened)  # pyright: ignore[reportArgumentType]
    handle = await house.start(job)
    await house.until_waiting(job, Attention.FAULT)
    return job, handle


@pytest.mark.parametrize(
    "arguments", [[], [RetryRequest(note="worker replaced")]], ids=["bare", "with a note"]
)
async def test_retry_does_the_failed_step_again_and_the_job_succeeds(
    house: House, arguments: list[RetryRequest]
) -> None:
    job, handle = await stuck(house)
    before = house.stand_ins.calls[job.job_id].count("enhance_segment/1")
    # By name and without any argument, as the Web UI's *Send an Update* does.
    assert "Trying again" in await handle.execute_update("retry", args=arguments, result_type=str)
    await handle.result()

    await house.assert_captured(job)
    assert house.stand_ins.calls[job.job_id].count("enhance_segment/1") == before + 1
    assert house.stand_ins.notices[job.job_id] == ["attention", "succeeded"]
    waited = [outcome for step, outcome in await house.saga(job) if step == "attention"]
    assert waited == ["waiting", "done"]
    attentions = [event.attention for event in await house.events(job) if event.type is EventType.ATTENTION]
    assert attentions[0] is Attention.FAULT
    assert (await house.events(job))[-1].attention is None


async def test_support_sees_the_job_in_the_list_and_reads_what_to_press(house: House) -> None:
    job, handle = await stuck(house)
    found = (await handle.describe()).typed_search_attributes
    assert (found[search.NEEDS_ATTENTION], found[search.CREDITS_HELD]) == (True, 10)

    card = await card_of(handle)
    for line in (
        "### ⚠ 지원을 기다립니다 · Waits for support",
        sentence(Code.ENGINE_CRASHED, "ko"),
        sentence(Code.ENGINE_CRASHED, "en"),
        "injected engine_crashed",
        "`enhance_segment`",
        "10 보류 중",
        "10 held",
        "`retry`",
        "`give_up`",
    ):
        assert line in card
    row = await house.job(job)
    assert (row.status, row.failure_code) == ("RUNNING", Code.ENGINE_CRASHED)
    await handle.execute_update("retry")
    await handle.result()
    found = (await handle.describe()).typed_search_attributes
    assert found[search.NEEDS_ATTENTION] is False
    assert "engine_crashed" not in await card_of(handle)


async def test_give_up_ends_the_job_and_releases(house: House) -> None:
    job, handle = await stuck(house)
    await handle.execute_update(VideoJobWorkflow.give_up, GiveUpRequest(reason="source unreadable by us"))
    failure = await failure_of(handle)

    assert isinstance(failure, ApplicationError)
    assert failure.type == Code.GIVEN_UP_BY_SUPPORT
    await house.assert_released(job, "FAILED", Code.GIVEN_UP_BY_SUPPORT)
    assert (await house.job(job)).detail == "source unreadable by us"


async def test_a_job_that_support_forgets_ends_by_its_deadline(house: House) -> None:
    house.stand_ins.on["mux_enhanced"] = Fails(Code.RESULT_UNVERIFIED)
    job = await house.open_job()
    failure = await failure_of(await house.start(job, skip_time=True))

    assert isinstance(failure, ApplicationError)
    assert failure.type == Code.ATTENTION_EXPIRED
    await house.assert_released(job, "FAILED", Code.ATTENTION_EXPIRED)


async def test_buttons_are_refused_before_and_after_their_time(house: House) -> None:
    muxing, releasing = Gate(), Gate()
    house.stand_ins.on |= {"mux_enhanced": muxing, "notify": releasing}
    job = await house.open_job()
    handle = await house.start(job)
    await muxing.reached.wait()
    await refuses(handle, "retry")
    await refuses(handle, "give_up")

    house.stand_ins.on["mux_enhanced"] = Fails(Code.RESULT_UNVERIFIED)
    muxing.opened.set()
    await releasing.reached.wait()  # the job has succeeded and says so
    await refuses(handle, "retry")
    releasing.opened.set()
    await handle.result()
    await house.assert_captured(job)
    with pytest.raises(RPCError, match="completed"):
        await handle.execute_update("give_up")


async def test_a_retry_that_comes_after_give_up_is_refused(house: House) -> None:
    job, handle = await stuck(house)
    farewell = house.stand_ins.on["notify"] = Gate()
    await handle.execute_update("give_up")
    await farewell.reached.wait()
    await refuses(handle, "retry")
    farewell.opened.set()
    await failure_of(handle)
    await house.assert_released(job, "FAILED", Code.GIVEN_UP_BY_SUPPORT)


async def test_of_two_people_who_press_at_once_the_first_decides(house: House) -> None:
    job, handle = await stuck(house)
    muxing = house.stand_ins.on["mux_enhanced"] = Gate()  # a job that has ended refuses in other words
    answers = await asyncio.gather(
        *(handle.execute_update("retry") for _ in range(3)), return_exceptions=True
    )
    muxing.opened.set()
    await handle.result()
    assert [type(answer) for answer in answers].count(WorkflowUpdateFailedError) == 2
    await house.assert_captured(job)


async def test_a_step_that_fails_again_asks_again(house: House) -> None:
    house.stand_ins.on["ingest"] = Fails(Code.STORAGE_UNAVAILABLE, times=2)
    job = await house.open_job()
    handle = await house.start(job)
    for presses in (1, 2):
        await house.until_waiting(job, Attention.FAULT)
        await handle.execute_update("retry")

        async def asked_again(times: int = presses) -> bool:
            return house.stand_ins.calls[job.job_id].count("ingest") == times + 1

        await until(asked_again)
    await handle.result()
    await house.assert_captured(job)
    assert house.stand_ins.notices[job.job_id] == ["attention", "attention", "succeeded"]


async def refuses(handle: Handle, update: str) -> None:
    with pytest.raises(WorkflowUpdateFailedError) as refusal:
        await handle.execute_update(update)
    assert isinstance(refusal.value.cause, ApplicationError)
    assert refusal.value.cause.type == Code.JOB_STATE_CONFLICT
