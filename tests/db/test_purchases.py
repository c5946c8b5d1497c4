"""Credits come once, for exactly the money that has arrived, whoever repeats or races."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy.exc import IntegrityError

from contracts.errors import Code, EchoError
from contracts.ids import PurchaseId
from contracts.jobs import JobStatus
from contracts.ledger import CreditEffect
from contracts.payments import PurchaseStatus, RefundReason, RefundStatus, RefundTo
from contracts.purchases import ChargeState, ClosePurchase, PurchaseState, RefundRequest
from contracts.timing import PurchaseDeadlines
from contracts.video_job import Release, StatusChange
from db import disputes, events, jobs, ledger, purchases, refunds, saga_log, settlement
from db.engine import Database
from db.pages import Page
from db.tables import Job
from db.tables_money import Purchase
from tests.books import a_job, a_user, balance_of, completion, run_sql, step_of
from tests.purchases import (
    a_charged_job,
    a_dispute,
    a_purchase,
    by,
    pay,
    payment,
    provider_says,
    refund,
)

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
            await purchases.settle(
                session, purchase.id, payment(purchase).model_copy(update=wrong), by(purchase)
            )
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


async def test_a_look_is_left_out_only_while_the_key_is_young_and_nothing_is_known_of_the_payment(
    database: Database,
) -> None:
    user = await a_user(database)
    purchase = await a_purchase(database, user, paid=False)
    saved_card = await a_purchase(database, user, paid=False, payment_method="pm_1")

    async def first_try(purchase_id: PurchaseId, older: timedelta = timedelta()) -> bool:
        async with database.read() as session:
            known = await purchases.get(session, purchase_id)
            assert known is not None
            session.expunge(known)
            known.created_at -= older
            return (await purchases.order(session, known)).first_try

    assert await first_try(purchase.id)
    assert await first_try(purchase.id, timedelta(minutes=59))
    assert not await first_try(purchase.id, timedelta(minutes=61))
    assert not await first_try(purchase.id, timedelta(days=2))
    assert not await first_try(saved_card.id)
    async with database.transaction() as session:
        said = payment(purchase, "open", provider_ref="pi_1")
        await purchases.record_checkout(session, purchase.id, said)
    assert not await first_try(purchase.id)


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
        assert waiting == ChargeState(status=PurchaseStatus.CREATED, amount_krw=1_000)
    await pay(database, purchase)
    async with database.read() as session:
        charged = await purchases.charge_state(session, job.id)
        assert charged == ChargeState(status=PAID, held_credits=10, amount_krw=1_000)
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
        (row,) = await refunds.of_purchase(session, purchase.id)
        last = (await events.after(session, job.id, 0))[-1]
        steps = [step.step for step in await saga_log.list_steps(session, job.id)]
    assert (row.status, row.amount_krw, row.credits) == (RefundStatus.REQUESTED, 1_000, 10)
    assert (last.status, last.credit_effect) == (status, CreditEffect.REFUNDED)
    assert steps[-2:] == ["release", "refund"]
    await provider_says(database, refunds.contract(row))
    assert (await state_of(database, purchase)).refunded_krw == 1_000
    async with database.transaction() as session:
        again = await settlement.release_job(session, release, step_of(job))
    assert (again.credit_effect, again.refund_krw) == (CreditEffect.REFUNDED, 1_000)


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


async def test_support_sends_the_charge_back_whatever_the_customer_chose(database: Database) -> None:
    user = await a_user(database)
    job, purchase = await a_charged_job(database, user, refund_to=RefundTo.CREDITS)
    asked = RefundRequest(credits=4, reason=RefundReason.GOODWILL, actor="support:s")
    release = Release(job_id=job.id, status=JobStatus.FAILED, failure_code="corrupt", refund=asked)
    async with database.transaction() as session:
        ended = await settlement.release_job(session, release, step_of(job))
    assert (ended.credit_effect, ended.refund_krw) == (CreditEffect.REFUNDED, 400)
    assert await balance_of(database, user.id) == (6, 0)
    async with database.read() as session:
        (row,) = await refunds.of_purchase(session, purchase.id)
    assert (row.reason, row.requested_by) == (RefundReason.GOODWILL, "support:s")


@pytest.mark.parametrize("slip", [{"amount_krw": 0}, {"credits": -4}, {"amount_krw": 5_000}])
async def test_no_slip_of_support_keeps_a_job_from_ending(database: Database, slip: dict[str, int]) -> None:
    user = await a_user(database)
    job, purchase = await a_charged_job(database, user, refund_to=RefundTo.CREDITS)
    asked = RefundRequest.model_validate({**slip, "actor": "support:s"})
    release = Release(job_id=job.id, status=JobStatus.FAILED, failure_code="corrupt", refund=asked)
    async with database.transaction() as session:
        ended = await settlement.release_job(session, release, step_of(job))
    assert (ended.status, ended.refund_krw) == (JobStatus.FAILED, purchase.amount_krw)


async def test_what_a_cheaper_job_leaves_of_its_charge_goes_back_to_the_card(database: Database) -> None:
    user = await a_user(database, promo=20)
    job, purchase = await a_charged_job(database, user, status=JobStatus.RUNNING)
    async with database.transaction() as session:
        outcome = await settlement.adjust_hold(session, job.id, 6, step_of(job))
    assert outcome.held_credits == 10, "nobody can spend the surplus before it is refunded"
    for _ in range(2):
        async with database.transaction() as session:
            ended = await settlement.complete_job(session, completion(job, 6), step_of(job))
        assert (ended.credit_effect, ended.credits, ended.refund_krw) == (CreditEffect.CAPTURED, 6, 400)
    assert await balance_of(database, user.id) == (20, 0)
    async with database.read() as session:
        (row,) = await refunds.of_purchase(session, purchase.id)
        told = [(e.status, e.credit_effect, e.credits) for e in await events.after(session, job.id, 0)][-2:]
    assert row.reason is RefundReason.JOB_CHEAPER
    assert told == [
        (JobStatus.RUNNING, CreditEffect.REFUNDED, 4),
        (JobStatus.SUCCEEDED, CreditEffect.CAPTURED, 6),
    ]


async def test_what_a_cheaper_job_leaves_stays_when_the_customer_chose_credits(database: Database) -> None:
    user = await a_user(database)
    job, _ = await a_charged_job(database, user, refund_to=RefundTo.CREDITS, status=JobStatus.RUNNING)
    async with database.transaction() as session:
        assert (await settlement.adjust_hold(session, job.id, 6, step_of(job))).held_credits == 6
        await settlement.complete_job(session, completion(job, 6), step_of(job))
    assert await balance_of(database, user.id) == (4, 0)


async def test_a_dearer_job_takes_the_rest_from_the_balance_promotional_credits_first(
    database: Database,
) -> None:
    user = await a_user(database, promo=5, paid=20)
    job, purchase = await a_charged_job(database, user)
    async with database.transaction() as session:
        assert (await settlement.adjust_hold(session, job.id, 50, step_of(job))).short_credits == 15
        assert (await settlement.adjust_hold(session, job.id, 18, step_of(job))).held_credits == 18
    async with database.read() as session:
        balance = await ledger.balance(session, user.id)
    assert (balance.held_promo, balance.held_paid) == (5, 13)
    # Everything else is spent meanwhile; the charge comes back whole all the same.
    other = await a_job(database, user, credits=17, status=JobStatus.RUNNING)
    async with database.transaction() as session:
        await settlement.complete_job(session, completion(other, 17), step_of(other))
        release = Release(job_id=job.id, status=JobStatus.CANCELED, failure_code="canceled_by_user")
        ended = await settlement.release_job(session, release, step_of(job))
    assert ended.refund_krw == 1_000
    assert await balance_of(database, user.id) == (8, 0)
    async with database.read() as session:
        (row,) = await refunds.of_purchase(session, purchase.id)
    assert row.credits == 10


async def test_an_unpaid_job_may_be_uploaded_but_not_run(database: Database) -> None:
    user = await a_user(database, paid=100)
    job, _ = await a_charged_job(database, user, paid=False)
    async with database.transaction() as session:
        await jobs.set_status(session, StatusChange(job_id=job.id, status=JobStatus.INGESTED))
    with pytest.raises(IntegrityError, match="it has no hold"):
        async with database.transaction() as session:
            await jobs.set_status(session, StatusChange(job_id=job.id, status=JobStatus.QUEUED))


@pytest.mark.parametrize("refund_to", list(RefundTo))
async def test_money_for_a_job_that_has_ended_is_refunded_or_kept_as_chosen(
    database: Database, refund_to: RefundTo
) -> None:
    user = await a_user(database)
    job, purchase = await a_charged_job(database, user, paid=False, refund_to=refund_to)
    release = Release(job_id=job.id, status=JobStatus.EXPIRED, failure_code=Code.PAYMENT_EXPIRED)
    async with database.transaction() as session:
        ended = await settlement.release_job(session, release, step_of(job))
        await purchases.close(session, closing(purchase, PurchaseStatus.EXPIRED), by(purchase))
    assert (ended.credit_effect, ended.credits, ended.transfer_id) == (CreditEffect.NONE, 0, None)
    purchase = await pay(database, purchase)
    async with database.read() as session:
        found = [row.amount_krw for row in await refunds.of_purchase(session, purchase.id)]
        last = (await events.after(session, job.id, 0))[-1]
    card = refund_to is RefundTo.CARD
    assert found == ([1_000] if card else [])
    assert last.credit_effect is (CreditEffect.REFUNDED if card else CreditEffect.CHARGED)
    assert await balance_of(database, user.id) == ((0, 0) if card else (10, 0))


async def test_payment_and_cancellation_at_once_leave_neither_money_nor_credits_behind(
    database: Database,
) -> None:
    user = await a_user(database)

    async def cancel(job: Job) -> None:
        release = Release(job_id=job.id, status=JobStatus.CANCELED, failure_code="canceled_by_user")
        async with database.transaction() as session:
            await settlement.release_job(session, release, step_of(job))

    for _ in range(6):
        job, purchase = await a_charged_job(database, user, paid=False)
        await asyncio.gather(pay(database, purchase), cancel(job), pay(database, purchase), cancel(job))
        async with database.read() as session:
            (row,) = await refunds.of_purchase(session, purchase.id)
        assert row.amount_krw == 1_000
    assert await balance_of(database, user.id) == (0, 0)


# Lists.


async def test_the_price_list_is_what_it_was_on_that_day(database: Database) -> None:
    tomorrow = datetime.now(UTC) + timedelta(days=1)
    await run_sql(
        database,
        "UPDATE price_list SET valid_to = :day WHERE credits = 500",
        "INSERT INTO price_list VALUES ('credits-500/2', '500', 500, 45000, :day, NULL)",
        day=tomorrow,
    )
    async with database.read() as session:
        today = [(p.id, p.krw) for p in await purchases.on_sale(session, datetime.now(UTC))]
        later = [(p.id, p.krw) for p in await purchases.on_sale(session, tomorrow)]
    assert today == [("credits-100/1", 10_000), ("credits-500/1", 40_000), ("credits-1000/1", 70_000)]
    assert later == [("credits-100/1", 10_000), ("credits-500/2", 45_000), ("credits-1000/1", 70_000)]


async def test_a_price_that_is_not_on_sale_cannot_be_bought(database: Database) -> None:
    await run_sql(database, "UPDATE price_list SET valid_to = now() WHERE credits = 100")
    user = await a_user(database)
    with pytest.raises(EchoError) as refused:
        await a_purchase(database, user, paid=False)
    assert refused.value.code is Code.PACKAGE_UNKNOWN


async def test_a_users_purchases_are_listed_newest_first_page_by_page(database: Database) -> None:
    user, other = await a_user(database), await a_user(database)
    bought = [(await a_purchase(database, user)).id for _ in range(5)]
    foreign = await a_purchase(database, other)
    bought.reverse()
    async with database.read() as session:
        first = await purchases.of_user(session, user.id, Page(limit=2))
        rest = await purchases.of_user(session, user.id, Page(limit=9, starting_after=first.items[-1].id))
        back = await purchases.of_user(session, user.id, Page(limit=2, ending_before=rest.items[0].id))
        assert [p.id for p in (*first.items, *rest.items)] == bought
        assert (first.has_more, rest.has_more, back.items) == (True, False, first.items)
        with pytest.raises(EchoError) as refused:
            await purchases.of_user(session, user.id, Page(starting_after=foreign.id))
    assert refused.value.code is Code.CURSOR_INVALID


async def test_the_sweeper_sees_purchases_with_something_open_and_no_others(database: Database) -> None:
    user = await a_user(database)
    unpaid = await a_purchase(database, user, paid=False)
    refunded = await a_purchase(database, user)
    disputed = await a_purchase(database, user)
    await a_purchase(database, user)
    done = await a_purchase(database, user)
    await refund(database, refunded)
    await provider_says(database, await refund(database, done))
    async with database.transaction() as session:
        await disputes.record(session, disputed.id, a_dispute(disputed), by(disputed))
    soon = datetime.now(UTC) + timedelta(seconds=5)
    async with database.read() as session:
        found = await purchases.needing_workflow(session, soon)
        assert [p.id for p in found] == sorted([unpaid.id, refunded.id, disputed.id])
        behind = await purchases.needing_workflow(session, soon, found[0].id, 1)
        assert behind == found[1:2]
        assert await purchases.needing_workflow(session, soon - timedelta(hours=1)) == []
        assert purchases.purchase_input(unpaid, PurchaseDeadlines()).workflow_id == f"purchase/{unpaid.id}"
