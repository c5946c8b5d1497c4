"""Money and state change together, once, whoever repeats or races."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import text

from contracts.errors import Code, EchoError
from contracts.jobs import JobStatus
from contracts.ledger import Bucket, CreditEffect
from contracts.video_job import HoldOutcome, Release, Settled, StatusChange
from db import events, jobs, progress, saga_log, settlement, videos
from db.engine import Database
from db.tables import Job
from tests.books import a_job, a_quote, a_source, a_user, balance_of, completion, run_sql, step_of

RUNNING = JobStatus.RUNNING


def failed(job: Job, code: str = "corrupt") -> Release:
    return Release(job_id=job.id, status=JobStatus.FAILED, failure_code=code)


async def test_opening_a_job_holds_its_price_and_says_so(database: Database) -> None:
    user = await a_user(database, promo=4, paid=20)
    job = await a_job(database, user, credits=10)
    assert await balance_of(database, user.id) == (14, 10)
    async with database.read() as session:
        (event,) = await events.after(session, job.id, 0)
        (step,) = await saga_log.list_steps(session, job.id)
    assert (event.seq, event.status, event.credit_effect, event.credits) == (
        1, JobStatus.CREATED, CreditEffect.HELD, 10,
    )  # fmt: skip
    assert (step.step, step.credits, step.transfer_id) == ("hold", 10, str(job.hold_id))
    assert step.workflow_id == f"job/{job.id}"


async def test_a_job_that_cannot_be_paid_leaves_nothing_behind(database: Database) -> None:
    user = await a_user(database, paid=9)
    video = await a_source(database, user)
    with pytest.raises(EchoError) as short:
        async with database.transaction() as session:
            await settlement.open_job(
                session, user=user, kind="enhance", params={}, video=video, quote=a_quote(10), uploaded=True
            )
    assert short.value.fields == {"required": 10, "available": 9}
    assert await run_sql(database, "SELECT id FROM jobs") == []
    assert await balance_of(database, user.id) == (9, 0)


async def test_confirming_a_hold_holds_nothing_twice(database: Database) -> None:
    user = await a_user(database, paid=20)
    job = await a_job(database, user)
    for _ in range(2):
        async with database.transaction() as session:
            outcome = await settlement.confirm_hold(session, job.id, step_of(job, "hold"))
        assert outcome == HoldOutcome(status=JobStatus.CREATED, held_credits=10)
    assert await balance_of(database, user.id) == (10, 10)
    async with database.read() as session:
        assert [step.seq for step in await saga_log.list_steps(session, job.id)] == [1, 2]


async def test_a_dearer_video_raises_the_hold_and_a_cheaper_one_lowers_it(database: Database) -> None:
    user = await a_user(database, promo=5, paid=40)
    job = await a_job(database, user, credits=10)
    # 30 again after 20: the same price a second time is a new adjustment.
    for credits in (30, 30, 20, 30, 1):
        async with database.transaction() as session:
            outcome = await settlement.adjust_hold(session, job.id, credits, step_of(job))
        assert outcome == HoldOutcome(status=JobStatus.CREATED, held_credits=credits)
        assert await balance_of(database, user.id) == (45 - credits, credits)


async def test_a_price_beyond_the_balance_leaves_the_old_hold_until_credits_arrive(
    database: Database,
) -> None:
    user = await a_user(database, paid=25)
    job = await a_job(database, user, credits=10)
    for _ in range(2):
        async with database.transaction() as session:
            outcome = await settlement.adjust_hold(session, job.id, 30, step_of(job))
        assert outcome == HoldOutcome(status=JobStatus.CREATED, held_credits=10, short_credits=5)
        assert await balance_of(database, user.id) == (15, 10)
    async with database.transaction() as session:
        await settlement.grant_credits(
            session, user_id=user.id, credits=5, bucket=Bucket.PAID, key="k", actor="admin:a", reason="top up"
        )
        outcome = await settlement.adjust_hold(session, job.id, 30, step_of(job))
    assert outcome == HoldOutcome(status=JobStatus.CREATED, held_credits=30)
    assert await balance_of(database, user.id) == (0, 30)


async def test_completing_captures_the_price_registers_the_result_and_happens_once(
    database: Database,
) -> None:
    user = await a_user(database, paid=25)
    job = await a_job(database, user, credits=20, status=RUNNING)
    answers: list[Settled] = []
    for _ in range(2):
        async with database.transaction() as session:
            answers.append(await settlement.complete_job(session, completion(job, 15), step_of(job)))
    assert answers[0] == answers[1]
    assert (answers[0].status, answers[0].credit_effect, answers[0].credits) == (
        JobStatus.SUCCEEDED, CreditEffect.CAPTURED, 15,
    )  # fmt: skip
    assert await balance_of(database, user.id) == (10, 0)
    async with database.read() as session:
        done = await jobs.get_job(session, job.id)
        assert done is not None
        assert done.result_video_id is not None
        result = await videos.get_video(session, user.id, done.result_video_id)
        assert result is not None
        assert (result.job_id, result.object_key) == (job.id, f"result/{job.id}/video.mp4")
        last = (await events.after(session, job.id, 0))[-1]
        assert (last.status, last.credit_effect, last.credits) == (
            JobStatus.SUCCEEDED, CreditEffect.CAPTURED, 15,
        )  # fmt: skip
        assert await settlement.settled(session, job.id) == answers[0]


@pytest.mark.parametrize("status", [JobStatus.FAILED, JobStatus.CANCELED, JobStatus.EXPIRED])
async def test_releasing_returns_every_credit_and_happens_once(database: Database, status: JobStatus) -> None:
    user = await a_user(database, promo=3, paid=10)
    job = await a_job(database, user, credits=10)
    release = failed(job).model_copy(update={"status": status})
    async with database.transaction() as session:
        first = await settlement.release_job(session, release, step_of(job))
    async with database.transaction() as session:
        second = await settlement.release_job(session, failed(job, "other"), step_of(job))
    assert first == second
    assert (first.status, first.credit_effect, first.credits) == (status, CreditEffect.RELEASED, 10)
    assert await balance_of(database, user.id) == (13, 0)


async def test_a_settled_job_answers_every_step_with_how_it_ended(database: Database) -> None:
    user = await a_user(database, paid=10)
    job = await a_job(database, user, status=RUNNING)
    async with database.transaction() as session:
        ended = await settlement.release_job(session, failed(job), step_of(job))
    async with database.transaction() as session:
        assert await settlement.complete_job(session, completion(job, 10), step_of(job)) == ended
        none_held = HoldOutcome(status=JobStatus.FAILED, held_credits=0)
        assert await settlement.confirm_hold(session, job.id, step_of(job)) == none_held
        assert await settlement.adjust_hold(session, job.id, 5, step_of(job)) == none_held
        assert not await jobs.set_status(session, StatusChange(job_id=job.id, status=RUNNING))
    assert await balance_of(database, user.id) == (10, 0)
    assert await run_sql(database, "SELECT id FROM videos WHERE role = 'result'") == []


async def test_a_result_that_failed_its_verification_is_never_paid_for(database: Database) -> None:
    user = await a_user(database, paid=10)
    job = await a_job(database, user, status=RUNNING)
    with pytest.raises(EchoError) as refused:
        async with database.transaction() as session:
            await settlement.complete_job(session, completion(job, 10, verified=False), step_of(job))
    assert refused.value.code is Code.RESULT_UNVERIFIED
    assert await balance_of(database, user.id) == (0, 10)


async def test_a_job_that_never_ran_cannot_succeed(database: Database) -> None:
    user = await a_user(database, paid=10)
    job = await a_job(database, user)
    with pytest.raises(EchoError) as refused:
        async with database.transaction() as session:
            await settlement.complete_job(session, completion(job, 10), step_of(job))
    assert refused.value.code is Code.JOB_STATE_CONFLICT


async def test_the_stages_at_work_fail_with_their_job(database: Database) -> None:
    user = await a_user(database, paid=10)
    job = await a_job(database, user, status=RUNNING)
    async with database.transaction() as session:
        await progress.declare_stages(session, job.id, {"ingest": 10, "upscale": 10, "mux": 10})
        await progress.finish_stage(session, job.id, "ingest")
        await progress.report(session, job.id, "upscale", 0, 5, 10)
        await settlement.release_job(session, failed(job), step_of(job))
    async with database.read() as session:
        states = {stage.name: stage.state.value for stage in await events.stages(session, job.id)}
    assert states == {"ingest": "done", "upscale": "failed", "mux": "waiting"}


async def test_capture_release_and_cancel_at_once_end_in_one_of_them(database: Database) -> None:
    user = await a_user(database, paid=100)
    job = await a_job(database, user, status=RUNNING)

    async def complete() -> Settled:
        async with database.transaction() as session:
            return await settlement.complete_job(session, completion(job, 10), step_of(job))

    async def cancel(status: JobStatus) -> Settled:
        async with database.transaction() as session:
            release = failed(job).model_copy(update={"status": status})
            return await settlement.release_job(session, release, step_of(job))

    answers = await asyncio.gather(
        complete(), cancel(JobStatus.FAILED), complete(), cancel(JobStatus.CANCELED), complete()
    )
    assert all(answer == answers[0] for answer in answers), "everybody hears of the same end"
    captured = answers[0].credit_effect is CreditEffect.CAPTURED
    assert await balance_of(database, user.id) == ((90, 0) if captured else (100, 0))


async def test_two_adjustments_at_once_leave_one_hold(database: Database) -> None:
    user = await a_user(database, paid=100)
    job = await a_job(database, user)

    async def adjust(credits: int) -> HoldOutcome:
        async with database.transaction() as session:
            return await settlement.adjust_hold(session, job.id, credits, step_of(job))

    await asyncio.gather(*[adjust(credits) for credits in (20, 30, 20, 30, 40)])
    available, held = await balance_of(database, user.id)
    assert available + held == 100
    assert held in (20, 30, 40)


async def test_an_admin_grant_with_the_same_key_grants_once(database: Database) -> None:
    user = await a_user(database)
    for credits, code in ((5, None), (5, None), (6, Code.TRANSFER_CONFLICT)):
        try:
            async with database.transaction() as session:
                await settlement.grant_credits(
                    session, user_id=user.id, credits=credits, bucket=Bucket.PROMO,
                    key="same", actor="admin:a", reason="welcome",
                )  # fmt: skip
            refused = None
        except EchoError as error:
            refused = error.code
        assert refused is code
    assert await balance_of(database, user.id) == (5, 0)


async def test_every_transfer_of_a_job_names_its_saga(database: Database) -> None:
    user = await a_user(database, paid=100)
    job = await a_job(database, user, status=RUNNING)
    async with database.transaction() as session:
        await settlement.adjust_hold(session, job.id, 20, step_of(job, "adjust_hold"))
        await settlement.complete_job(session, completion(job, 20), step_of(job, "capture"))
    async with database.read() as session:
        rows = await session.execute(
            text("SELECT kind, step, workflow_id FROM transfers WHERE job_id = :job ORDER BY seq"),
            {"job": job.id},
        )
        workflow = f"job/{job.id}"
        assert [tuple(row) for row in rows] == [
            ("hold", "hold", workflow),
            ("release", "adjust_hold", workflow),
            ("hold", "adjust_hold", workflow),
            ("capture", "capture", workflow),
        ]
