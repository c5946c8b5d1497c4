"""Money goes back once, never more than was paid, and never with credits that the user still has or has spent."""

from __future__ import annotations

import asyncio

import pytest

from contracts.errors import Code, EchoError
from contracts.jobs import JobStatus
from contracts.ledger import Bucket
from contracts.payments import RefundStatus
from contracts.purchases import Refunded
from db import ledger, purchases, refunds, settlement
from db.engine import Database
from db.purchase_rows import Part
from tests.books import ORIGIN, a_job, a_user, balance_of, completion, new_transfer_id, step_of
from tests.purchases import (
    a_charged_job,
    a_purchase,
    answer,
    by,
    provider_says,
    refund,
    refundable,
    refused,
    spend,
)


async def test_a_refund_puts_credits_aside_and_is_done_when_the_provider_says_so(database: Database) -> None:
    user = await a_user(database)
    purchase = await a_purchase(database, user)
    asked = await refund(database, purchase, credits=30)
    assert (asked.status, asked.amount_krw, asked.credits) == (RefundStatus.REQUESTED, 3_000, 30)
    assert await balance_of(database, user.id) == (70, 0)
    async with database.read() as session:
        (order,) = await refunds.requested(session, purchase.id)
    assert (order.refund_id, order.amount_krw, order.refunded_krw_before) == (asked.refund_id, 3_000, 0)
    assert (await provider_says(database, asked, "pending")).status is RefundStatus.PENDING
    for status in ("succeeded", "pending", "succeeded"):
        assert (await provider_says(database, asked, status)).status is RefundStatus.SUCCEEDED
    async with database.read() as session:
        assert await refunds.requested(session, purchase.id) == []
        assert (await purchases.state(session, purchase.id)).refunded_krw == 3_000
    assert await balance_of(database, user.id) == (70, 0)


async def test_the_same_key_refunds_once_and_another_amount_is_refused(database: Database) -> None:
    user = await a_user(database)
    purchase = await a_purchase(database, user)
    first = await refund(database, purchase, credits=30, key="k")
    assert await refund(database, purchase, credits=30, key="k") == first
    assert await refund(database, purchase, key="k") == first
    with pytest.raises(EchoError) as error:
        await refund(database, purchase, credits=31, key="k")
    assert error.value.code is Code.IDEMPOTENCY_KEY_REUSED
    assert await balance_of(database, user.id) == (70, 0)


@pytest.mark.parametrize("failed_after", ["requested", "pending", "succeeded"])
async def test_a_refund_that_fails_gives_its_credits_back_and_tells_support(
    database: Database, failed_after: str
) -> None:
    user = await a_user(database)
    purchase = await a_purchase(database, user)
    asked = await refund(database, purchase)
    if failed_after != "requested":
        await provider_says(database, asked, failed_after)
    for _ in range(2):
        told = await provider_says(database, asked, "failed")
        assert (told.status, told.failure) == (RefundStatus.FAILED, "expired_or_canceled_card")
    assert (await provider_says(database, asked, "succeeded")).status is RefundStatus.FAILED
    assert await balance_of(database, user.id) == (100, 0)
    async with database.transaction() as session:
        assert (await purchases.state(session, purchase.id)).refunds_failed == 1
        await refunds.dismiss_failed(session, purchase.id)
        assert (await purchases.state(session, purchase.id)).refunds_failed == 0
    again = await refund(database, purchase)
    assert again.amount_krw == 10_000


async def test_an_answer_about_another_amount_is_not_booked(database: Database) -> None:
    user = await a_user(database)
    purchase = await a_purchase(database, user)
    asked = await refund(database, purchase, credits=30)
    said = answer(asked).model_copy(update={"amount_krw": 2_999})
    with pytest.raises(EchoError) as error:
        async with database.transaction() as session:
            await refunds.record(session, asked.refund_id, said, by(purchase))
    assert error.value.code is Code.PAYMENT_STATE_CONFLICT


async def test_only_what_was_paid_and_is_unspent_can_go_back(database: Database) -> None:
    user = await a_user(database)
    unpaid = await a_purchase(database, user, paid=False)
    assert await refused(database, unpaid) is Code.PAYMENT_STATE_CONFLICT
    purchase = await a_purchase(database, user)
    await spend(database, user, 60)
    assert await refused(database, purchase, krw=10_001) is Code.REFUND_TOO_LARGE
    assert await refused(database, purchase, krw=4_001) is Code.REFUND_CREDITS_SPENT
    assert await refused(database, purchase, credits=41) is Code.REFUND_CREDITS_SPENT
    assert await refused(database, purchase, credits=1, krw=100) is Code.VALIDATION_FAILED
    assert await refused(database, purchase, credits=0) is Code.VALIDATION_FAILED
    assert await refused(database, purchase, krw=-5) is Code.VALIDATION_FAILED
    assert (await refund(database, purchase)).amount_krw == 4_000
    assert await refused(database, purchase) is Code.REFUND_CREDITS_SPENT
    whole = await a_purchase(database, user)
    await refund(database, whole)
    assert await refused(database, whole) is Code.REFUND_TOO_LARGE


async def test_promotional_credits_never_turn_into_money(database: Database) -> None:
    user = await a_user(database, promo=500)
    purchase = await a_purchase(database, user)
    await spend(database, user, 500)
    assert await refundable(database, purchase) == Part(100, 10_000)
    await spend(database, user, 100)
    async with database.transaction() as session:
        await ledger.grant(session, new_transfer_id(), user.id, 500, Bucket.PROMO, ORIGIN)
    assert await refundable(database, purchase) == Part(0, 0)


async def test_credits_are_spent_first_in_first_out_over_purchases_and_paid_grants(
    database: Database,
) -> None:
    user = await a_user(database, paid=50)
    first = await a_purchase(database, user, credits=100)
    second = await a_purchase(database, user, credits=500)
    async with database.transaction() as session:
        await ledger.grant(session, new_transfer_id(), user.id, 10, Bucket.PAID, ORIGIN)
    await spend(database, user, 60)
    assert await refundable(database, first) == Part(90, 9_000)
    assert await refundable(database, second) == Part(500, 40_000)
    await spend(database, user, 100)
    assert await refundable(database, first) == Part(0, 0)
    assert await refundable(database, second) == Part(490, 39_200)
    await refund(database, second, credits=100)
    assert await refundable(database, second) == Part(390, 31_200)


async def test_held_credits_cannot_be_refunded_until_they_are_released(database: Database) -> None:
    user = await a_user(database)
    purchase = await a_purchase(database, user)
    await a_job(database, user, credits=30)
    assert await refundable(database, purchase) == Part(70, 7_000)


async def test_a_job_spends_its_own_charge_and_leaves_older_purchases_alone(database: Database) -> None:
    user = await a_user(database)
    package = await a_purchase(database, user)
    job, charge = await a_charged_job(database, user, status=JobStatus.RUNNING)
    assert await refundable(database, charge) == Part(0, 0)
    assert await refundable(database, package) == Part(100, 10_000)
    async with database.transaction() as session:
        await settlement.complete_job(session, completion(job, 10), step_of(job))
    assert await refundable(database, charge) == Part(0, 0)
    assert await refundable(database, package) == Part(100, 10_000)


async def test_two_supports_at_once_refund_no_more_than_there_is(database: Database) -> None:
    user = await a_user(database)
    purchase = await a_purchase(database, user)
    answers = await asyncio.gather(
        *[refund(database, purchase, credits=40) for _ in range(4)], return_exceptions=True
    )
    assert sum(isinstance(answer, Refunded) for answer in answers) == 2
    assert {a.code for a in answers if isinstance(a, EchoError)} == {Code.REFUND_CREDITS_SPENT}
    assert await balance_of(database, user.id) == (20, 0)


async def test_a_refund_and_a_capture_at_once_never_use_the_same_credits(database: Database) -> None:
    user = await a_user(database)
    purchase = await a_purchase(database, user)
    job = await a_job(database, user, credits=60, status=JobStatus.RUNNING)

    async def complete() -> None:
        async with database.transaction() as session:
            await settlement.complete_job(session, completion(job, 50), step_of(job))

    answers = await asyncio.gather(refund(database, purchase, credits=50), complete(), return_exceptions=True)
    available, held = await balance_of(database, user.id)
    assert (available, held) == ((0, 0) if isinstance(answers[0], Refunded) else (50, 0))
