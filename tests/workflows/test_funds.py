"""The measured price replaces the quote: a lower one frees credits, a higher one may have to wait for the user."""

from __future__ import annotations

from contracts.errors import Code
from contracts.jobs import Attention, JobStatus
from contracts.ledger import CreditEffect
from contracts.timing import JobDeadlines
from tests.workflows.house import House, card_of, until
from workflows import search
from workflows.client import announce_funds


async def test_a_price_below_the_quote_shrinks_the_hold_before_the_work_begins(house: House) -> None:
    house.stand_ins.credits = 10
    job = await house.open_job(quote=30)
    await (await house.start(job)).result()

    await house.assert_captured(job, 10)
    assert await house.transfers(job) == [("hold", 30), ("release", 30), ("hold", 10), ("capture", 10)]
    assert ("adjust_hold", "done") in await house.saga(job)
    adjusted = [
        event for event in await house.events(job) if event.credit_effect is CreditEffect.HOLD_ADJUSTED
    ]
    assert [event.credits for event in adjusted] == [10]


async def test_a_price_above_the_quote_that_the_user_can_pay_grows_the_hold(house: House) -> None:
    house.stand_ins.credits = 60
    job = await house.open_job(quote=10, credits=100)
    await (await house.start(job)).result()
    await house.assert_captured(job, 60)


async def test_a_user_who_is_short_adds_credits_and_the_job_goes_on(house: House) -> None:
    house.stand_ins.credits = 60
    job = await house.open_job(quote=10, credits=25)
    handle = await house.start(job)
    await house.until_waiting(job, Attention.FUNDS)

    balance, row = await house.balance(job), await house.job(job)
    assert (row.status, row.failure_code) == ("INGESTED", Code.CREDITS_SHORT)
    assert (balance.available, balance.held) == (15, 10)
    found = (await handle.describe()).typed_search_attributes
    assert (found[search.NEEDS_ATTENTION], found[search.JOB_STATUS]) == (True, "INGESTED")
    assert "35" in await card_of(handle)

    await house.grant(job, 5)  # not enough yet
    await announce_funds(house.client, job.job_id)

    async def still_short_by_30() -> bool:
        return "30" in await card_of(handle)

    await until(still_short_by_30)
    await house.grant(job, 70)
    await announce_funds(house.client, job.job_id)
    await handle.result()

    await house.assert_captured(job, 60, granted=100)
    assert house.stand_ins.notices[job.job_id] == ["funds_short", "succeeded"]
    found = (await handle.describe()).typed_search_attributes
    assert found[search.NEEDS_ATTENTION] is False


async def test_credits_that_come_without_a_word_are_found_before_the_deadline(house: House) -> None:
    """The API died between the grant and its signal."""
    house.stand_ins.credits = 60
    job = await house.open_job(quote=10, credits=25)
    house.stand_ins.on["notify"] = lambda: grant_once(75)
    granted: list[int] = []

    async def grant_once(credits: int) -> None:
        if not granted:
            granted.append(credits)
            await house.grant(job, credits)

    await (await house.start(job, skip_time=True)).result()
    await house.assert_captured(job, 60, granted=100)


async def test_missing_credits_that_never_come_expire_the_job(house: House) -> None:
    house.stand_ins.credits = 60
    job = await house.open_job(quote=10, credits=25, deadlines=JobDeadlines(funds_s=2 * 3600))
    outcome = await (await house.start(job, skip_time=True)).result()

    assert outcome.status is JobStatus.EXPIRED
    await house.assert_released(job, "EXPIRED", Code.FUNDS_EXPIRED, granted=25)
    assert house.stand_ins.notices[job.job_id] == ["funds_short", "expired"]


async def test_an_early_word_of_credits_does_not_keep_the_user_from_being_told(house: House) -> None:
    """The API announces every grant to every open job, also to one that is not short yet."""
    house.stand_ins.credits = 60
    job = await house.open_job(quote=10, credits=25, uploaded=False)
    handle = await house.start(job)
    await announce_funds(house.client, job.job_id)
    await handle.signal("ingested")
    await house.until_waiting(job, Attention.FUNDS)

    async def told() -> bool:
        return house.stand_ins.notices[job.job_id] == ["funds_short"]

    await until(told)
    await house.grant(job, 75)
    await announce_funds(house.client, job.job_id)
    await handle.result()
    await house.assert_captured(job, 60, granted=100)
