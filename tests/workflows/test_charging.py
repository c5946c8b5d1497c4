"""A job paid by card: charged, done and kept, or not done and back on the card. One customer story a test."""

from __future__ import annotations

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowUpdateFailedError

from contracts.errors import Code
from contracts.jobs import Attention
from contracts.payments import PurchaseStatus, RefundTo
from contracts.purchases import RefundRequest
from contracts.timing import CHARGE_LOOK, JobDeadlines
from contracts.video_job import JobInput
from tests.workflows.house import card_of, failure_of, task_completions, until
from tests.workflows.shop import Shop
from tests.workflows.stand_ins import Fails, Gate
from workflows.client import cancel_job


async def ended(shop: Shop, job: JobInput, status: str, code: str | None) -> None:
    row = await shop.house.job(job)
    assert (row.status, row.failure_code) == (status, code)
    balance = await shop.house.balance(job)
    assert balance.held == 0


async def test_a_job_that_succeeds_keeps_the_charge(shop: Shop) -> None:
    job, purchase = await shop.charge()
    await shop.start_both(job, purchase)
    await shop.house.handle(job).result()
    await ended(shop, job, "SUCCEEDED", None)
    assert await shop.house.transfers(job) == [("purchase", 10), ("hold", 10), ("capture", 10)]
    assert await shop.refunds(purchase) == []
    await shop.assert_agreed()


async def test_a_job_may_be_uploaded_while_the_customer_pays(shop: Shop) -> None:
    job, purchase = await shop.charge(payment_method=None, uploaded=False)
    await shop.start_both(job, purchase)
    handle = shop.house.handle(job)
    await handle.signal("ingested")
    await shop.pay(purchase)
    await shop.hear(purchase)
    await handle.result()
    await ended(shop, job, "SUCCEEDED", None)
    await shop.assert_agreed()


async def test_a_job_that_turns_out_cheaper_sends_the_rest_back_to_the_card(shop: Shop) -> None:
    shop.house.stand_ins.credits = 10
    job, purchase = await shop.charge(30)
    await shop.start_both(job, purchase)
    await shop.house.handle(job).result()
    await shop.refunded(purchase, ("SUCCEEDED", 2_000, 20))
    assert (await shop.house.balance(job)).available == 0
    await shop.assert_agreed()


@pytest.mark.parametrize("refund_to", RefundTo)
async def test_a_job_that_fails_gives_the_charge_back_where_the_customer_wants_it(
    shop: Shop, refund_to: RefundTo
) -> None:
    shop.house.stand_ins.on["plan_enhance"] = Fails(Code.CORRUPT)
    job, purchase = await shop.charge(refund_to=refund_to)
    await shop.start_both(job, purchase)
    await failure_of(shop.house.handle(job))
    await ended(shop, job, "FAILED", Code.CORRUPT)
    if refund_to is RefundTo.CARD:
        await shop.refunded(purchase, ("SUCCEEDED", 1_000, 10))
        assert "1,000 won go back to the card" in await card_of(shop.house.handle(job))
    else:
        assert await shop.refunds(purchase) == []
        assert (await shop.house.balance(job)).available == 10
    await shop.assert_agreed()


async def test_a_declined_card_fails_the_job_and_nothing_was_taken(shop: Shop) -> None:
    job, purchase = await shop.charge(payment_method="pm_card_chargeDeclined")
    await shop.start_both(job, purchase)
    await failure_of(shop.house.handle(job))
    await ended(shop, job, "FAILED", Code.PAYMENT_DECLINED)
    assert await shop.status(purchase) is PurchaseStatus.FAILED
    assert [each["status"] for each in await shop.payments()] == ["canceled"]
    assert await shop.house.transfers(job) == []
    await shop.assert_agreed()


async def test_a_customer_who_never_pays_loses_the_job_and_can_pay_no_more(shop: Shop) -> None:
    job, purchase = await shop.charge(payment_method=None, deadlines=JobDeadlines(payment_s=30))
    assert (await shop.checkout(purchase)).checkout is not None
    handle = await shop.house.start(job, skip_time=True)
    assert (await handle.result()).status == "EXPIRED"
    await ended(shop, job, "EXPIRED", Code.PAYMENT_EXPIRED)
    assert (await shop.handle(purchase).result()).status is PurchaseStatus.CANCELED
    await shop.assert_agreed()


async def test_a_job_that_is_cancelled_before_or_after_the_payment_costs_nothing(shop: Shop) -> None:
    before, unpaid = await shop.charge(payment_method=None)
    await shop.start_both(before, unpaid)
    await shop.checkout(unpaid)
    await cancel_job(shop.house.client, shop.house.settings, before)
    await failure_of(shop.house.handle(before))
    assert (await shop.handle(unpaid).result()).status is PurchaseStatus.CANCELED

    after, paid = await shop.charge()
    gate = shop.house.stand_ins.on[f"{after.job_id}/plan_enhance"] = Gate()
    await shop.start_both(after, paid)
    await gate.reached.wait()
    await cancel_job(shop.house.client, shop.house.settings, after)
    await failure_of(shop.house.handle(after))
    await shop.refunded(paid, ("SUCCEEDED", 1_000, 10))
    for job in (before, after):
        await ended(shop, job, "CANCELED", Code.CANCELED_BY_USER)
    await shop.assert_agreed()


async def test_a_job_hears_at_once_that_its_purchase_was_cancelled_while_the_provider_is_away(
    shop: Shop,
) -> None:
    await shop.stripe.control.post("faults", match="POST /v1/payment_intents", kind="500", times=1000)
    job, purchase = await shop.charge()
    await shop.start_both(job, purchase)

    async def waits_for_its_next_look() -> bool:
        events = shop.house.handle(job).fetch_history_events()
        return any([event.event_type == EventType.EVENT_TYPE_TIMER_STARTED async for event in events])

    async def has_ended() -> bool:
        return (await shop.house.job(job)).finished_at is not None

    await until(waits_for_its_next_look)
    await shop.cancel(purchase)
    await until(has_ended, seconds=CHARGE_LOOK.total_seconds() / 2)
    await ended(shop, job, "FAILED", Code.PAYMENT_CANCELED)
    await shop.assert_agreed()


async def test_money_that_comes_when_the_job_has_ended_goes_back(shop: Shop) -> None:
    """The bank takes its time; the customer gives up waiting."""
    job, purchase = await shop.charge(payment_method="pm_standin_processing")
    await shop.start_both(job, purchase)
    await shop.checkout(purchase)
    await cancel_job(shop.house.client, shop.house.settings, job)
    await failure_of(shop.house.handle(job))
    ref = await shop.payment_ref(purchase)
    await shop.stripe.control.post(f"payment_intents/{ref}/settle", outcome="succeed")
    await shop.hear(purchase)
    await shop.refunded(purchase, ("SUCCEEDED", 1_000, 10))
    assert (await shop.house.balance(job)).available == 0
    await shop.assert_agreed()


async def test_a_reset_of_a_job_that_has_ended_does_not_wait_for_its_bank(shop: Shop) -> None:
    job, purchase = await shop.charge(payment_method="pm_standin_processing")
    await shop.start_both(job, purchase)
    await shop.checkout(purchase)
    await cancel_job(shop.house.client, shop.house.settings, job)
    handle = shop.house.handle(job)
    await failure_of(handle)
    await failure_of(await shop.house.reset(job, (await task_completions(handle))[0]))
    await ended(shop, job, "CANCELED", Code.CANCELED_BY_USER)
    assert await shop.status(purchase) is PurchaseStatus.AWAITING_PAYMENT
    await shop.assert_agreed()


@pytest.mark.parametrize("refund_to", RefundTo)
async def test_support_refunds_a_stuck_job_to_the_card_whatever_was_chosen(
    shop: Shop, refund_to: RefundTo
) -> None:
    shop.house.stand_ins.on["mux_enhanced"] = Fails(Code.RESULT_UNVERIFIED)
    job, purchase = await shop.charge(refund_to=refund_to)
    await shop.start_both(job, purchase)
    await shop.house.until_waiting(job, Attention.FAULT)
    handle = shop.house.handle(job)
    card = await card_of(handle)
    for line in ("1,000 won paid", "`retry`", "`refund`", "`give_up`"):
        assert line in card
    for slip in (RefundRequest(amount_krw=0), RefundRequest(credits=-1)):
        with pytest.raises(WorkflowUpdateFailedError):
            await handle.execute_update("refund", slip)
    await handle.execute_update("refund")
    await failure_of(handle)
    await ended(shop, job, "FAILED", Code.GIVEN_UP_BY_SUPPORT)
    await shop.refunded(purchase, ("SUCCEEDED", 1_000, 10))
    await shop.assert_agreed()


async def test_a_job_paid_from_the_balance_has_no_card_to_refund(shop: Shop) -> None:
    shop.house.stand_ins.on["mux_enhanced"] = Fails(Code.RESULT_UNVERIFIED)
    job = await shop.house.open_job()
    handle = await shop.house.start(job)
    await shop.house.until_waiting(job, Attention.FAULT)
    with pytest.raises(WorkflowUpdateFailedError):
        await handle.execute_update("refund")
    await handle.execute_update("give_up")
    await failure_of(handle)
    await shop.house.assert_released(job, "FAILED", Code.GIVEN_UP_BY_SUPPORT)
