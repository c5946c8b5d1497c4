"""Credits come once, for exactly the money that has arrived, whoever repeats or races."""

from __future__ import annotations

import asyncio

import pytest

from contracts.errors import Code, EchoError
from contracts.jobs import JobStatus
from contracts.ledger import CreditEffect
from contracts.payments import PurchaseStatus, RefundStatus, RefundTo
from contracts.purchases import ChargeState, ClosePurchase, PurchaseState
from contracts.video_job import Release
from db import events, purchases, refunds, saga_log, settlement
from db.engine import Database
from db.tables_money import Purchase
from tests.books import a_user, balance_of, run_sql, step_of
from tests.purchases import a_charged_job, a_purchase, by, pay, payment, provider_says

PAID = PurchaseStatus.PAID


async def state_of(database: Database, purchase: Purchase) -> PurchaseState:
    async with database.read() as session:
        return await purchases.state(session, purchase.id)


def closing(purchase: Purchase, status: PurchaseStatus = PurchaseStatus.CANCELED) -> ClosePurchase:
    code = Code.PAYMENT_EXPIRED if status is PurchaseStatus.EXPIRED else Code.PAYMENT_CANCELED
    return ClosePurchase(purchase_id=purchase.id, status=status, failure_code=code)  # pyright: ignore


async def test_a_paid_purchase_grants_its_credits_once(database: Database) -> None:
    user = await a_user(database)
    purchase = await a_purchase(database, user, paid=False)
    assert await balance_of(database, user.id) == (0, 0)
    for _ in range(3):
        async with database.transaction() as session:
            state = await purchases.settle(session, purchase.id, payment(purchase), by(purchase))
        assert (state.status, state.credits, state.provider_status) == (PAID, 100, "succeeded")
    assert await balance_of(database, user.id) == (100, 0)
    (row,) = await run_sql(
        database, "SELECT kind, purchase_id FROM transfers WHERE user_id = :user_id", user_id=user.id
    )
    assert tuple(row) == ("purchase", purchase.id)


async def test_settlements_at_once_grant_once(database: Database) -> None:
    user = await a_user(database)
    purchase = await a_purchase(database, user, paid=False)
    await asyncio.gather(*[pay(database, purchase) for _ in range(5)])
    assert await balance_of(database, user.id) == (100, 0)


@pytest.mark.parametrize(
    "wrong",
    [
        {"amount_krw": 9_999},
        {"received_krw": 9_999},
        {"received_krw": 0},
        {"status": "processing"},
        {"provider_ref": "pi_of_another"},
    ],
)
async def test_anything_but_exactly_the_price_grants_nothing(
    database: Database, wrong: dict[str, object]
) -> None:
    user = await a_user(database)
    purchase = await a_purchase(database, user, paid=False)
    async with database.transaction() as session:
        await purchases.record_checkout(session, purchase.id, payment(purchase, "open"))
    with pytest.raises(EchoError) as refused:
        async with database.transaction() as session:
            await purchases.settle(session, purchase.id, payment(purchase, **wrong), by(purchase))
    assert refused.value.code is Code.PAYMENT_STATE_CONFLICT
    assert await balance_of(database, user.id) == (0, 0)
    assert (await state_of(database, purchase)).status is PurchaseStatus.AWAITING_PAYMENT


async def test_the_checkout_is_recorded_once_and_names_payment_and_customer(database: Database) -> None:
    user = await a_user(database)
    purchase = await a_purchase(database, user, paid=False)
    for customer in ("cus_1", "cus_2"):
        async with database.transaction() as session:
            said = payment(purchase, "open", provider_ref="pi_1", customer_ref=customer)
            state = await purchases.record_checkout(session, purchase.id, said)
        assert state.status is PurchaseStatus.AWAITING_PAYMENT
    async with database.read() as session:
        known = await purchases.get(session, purchase.id)
        assert known is not None
        order = await purchases.order(session, known)
    assert (known.provider_ref, order.customer_ref, order.amount_krw) == ("pi_1", "cus_1", 10_000)


async def test_the_same_request_finds_its_purchase_and_another_body_is_refused(database: Database) -> None:
    user = await a_user(database)
    first = await a_purchase(database, user, key="k", paid=False)
    assert (await a_purchase(database, user, key="k", paid=False)).id == first.id
    with pytest.raises(EchoError) as refused:
        await a_purchase(database, user, key="k", credits=500, paid=False)
    assert refused.value.code is Code.IDEMPOTENCY_KEY_REUSED


@pytest.mark.parametrize("status", [PurchaseStatus.CANCELED, PurchaseStatus.EXPIRED])
async def test_money_that_arrives_after_the_purchase_was_closed_still_grants(
    database: Database, status: PurchaseStatus
) -> None:
    user = await a_user(database)
    purchase = await a_purchase(database, user, paid=False)
    for _ in range(2):
        async with database.transaction() as session:
            state = await purchases.close(session, closing(purchase, status), by(purchase))
        assert (state.status, state.failure_code) == (status, closing(purchase, status).failure_code)
    await pay(database, purchase)
    async with database.transaction() as session:
        assert (await purchases.close(session, closing(purchase), by(purchase))).status is PAID
    assert await balance_of(database, user.id) == (100, 0)


async def test_closing_and_settling_at_once_end_in_credits(database: Database) -> None:
    user = await a_user(database)

    async def close(purchase: Purchase) -> None:
        async with database.transaction() as session:
            await purchases.close(session, closing(purchase), by(purchase))

    for _ in range(5):
        purchase = await a_purchase(database, user, paid=False)
        await asyncio.gather(close(purchase), pay(database, purchase), close(purchase))
        assert (await state_of(database, purchase)).status is PAID
    assert await balance_of(database, user.id) == (500, 0)


# A job that a card pays.


async def test_a_charge_is_held_for_its_job_in_the_moment_of_payment(database: Database) -> None:
    user = await a_user(database, promo=50)
    job, purchase = await a_charged_job(database, user, paid=False)
    async with database.transaction() as session:
        waiting = await purchases.charge_state(session, job.id)
        assert waiting == ChargeState(status=PurchaseStatus.CREATED)
    await pay(database, purchase)
    async with database.read() as session:
        assert await purchases.charge_state(session, job.id) == ChargeState(status=PAID, held_credits=10)
        lines = [(s.step, s.outcome, s.credits) for s in await saga_log.list_steps(session, job.id)]
        told = [(e.credit_effect, e.credits) for e in await events.after(session, job.id, 0)]
    assert lines == [("charge", "waiting", 0), ("charge", "done", 10), ("hold", "done", 10)]
    assert told == [(CreditEffect.NONE, 0), (CreditEffect.CHARGED, 10), (CreditEffect.HELD, 10)]
    assert await balance_of(database, user.id) == (50, 10)
    async with database.transaction() as session:
        confirmed = await settlement.confirm_hold(session, job.id, step_of(job))
    assert confirmed.held_credits == 10


@pytest.mark.parametrize("status", [JobStatus.FAILED, JobStatus.CANCELED, JobStatus.EXPIRED])
async def test_a_charged_job_that_ends_without_result_is_refunded_in_the_same_moment(
    database: Database, status: JobStatus
) -> None:
    user = await a_user(database, promo=50, paid=7)
    job, purchase = await a_charged_job(database, user)
    release = Release(job_id=job.id, status=status, failure_code="corrupt")  # pyright: ignore
    for _ in range(2):
        async with database.transaction() as session:
            ended = await settlement.release_job(session, release, step_of(job))
        assert (ended.credit_effect, ended.credits, ended.refund_krw) == (CreditEffect.REFUNDED, 10, 1_000)
    assert await balance_of(database, user.id) == (57, 0)
    async with database.read() as session:
        (refund,) = await refunds.of_purchase(session, purchase.id)
        last = (await events.after(session, job.id, 0))[-1]
        steps = [step.step for step in await saga_log.list_steps(session, job.id)]
    assert (refund.status, refund.amount_krw, refund.credits) == (RefundStatus.REQUESTED, 1_000, 10)
    assert (last.status, last.credit_effect) == (status, CreditEffect.REFUNDED)
    assert steps[-2:] == ["release", "refund"]
    await provider_says(database, refunds.contract(refund))
    assert (await state_of(database, purchase)).refunded_krw == 1_000
    async with database.transaction() as session:
        assert await settlement.release_job(session, release, step_of(job)) == ended


async def test_who_chose_credits_keeps_them(database: Database) -> None:
    user = await a_user(database)
    job, purchase = await a_charged_job(database, user, refund_to=RefundTo.CREDITS)
    release = Release(job_id=job.id, status=JobStatus.FAILED, failure_code="corrupt")
    async with database.transaction() as session:
        ended = await settlement.release_job(session, release, step_of(job))
    assert (ended.credit_effect, ended.refund_krw) == (CreditEffect.RELEASED, 0)
    assert await balance_of(database, user.id) == (10, 0)
    async with database.read() as session:
        assert await refunds.of_purchase(session, purchase.id) == []
