"""Support resets or terminates a purchase, or its worker loses Temporal: no second charge, no second grant, and what is
open goes on."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import text

from activities.sweep import chance_of_announcing
from contracts.maintenance import SweepReport
from contracts.payments import PurchaseStatus
from contracts.purchases import PurchaseInput
from contracts.timing import CARE_LOOKS
from db import inbox
from tests.workflows.house import task_completions, until
from tests.workflows.shop import Shop
from tests.workflows.test_sweep import sweep


async def grow_old(shop: Shop) -> None:
    """Older than the grace that a purchase has to get its workflow: the rows may not change, so the grace does."""
    object.__setattr__(shop.house.settings, "sweep_grace_s", -1)


async def bought(shop: Shop) -> PurchaseInput:
    purchase = await shop.buy(payment_method="pm_card_visa")
    await shop.start(purchase)
    await shop.becomes(purchase, PurchaseStatus.PAID)

    async def told() -> bool:
        return bool(shop.house.stand_ins.notices[purchase.purchase_id])

    await until(told)
    return purchase


async def test_a_reset_to_any_moment_of_its_life_charges_grants_and_refunds_nothing_twice(shop: Shop) -> None:
    purchase = await bought(shop)
    handle = shop.handle(purchase)
    await handle.execute_update("refund")
    await shop.refunded(purchase, ("SUCCEEDED", 10_000, 100))
    transfers = await shop.transfers(purchase)
    run_id = (await handle.describe()).run_id
    targets = await task_completions(handle)
    for event in targets:
        again = await shop.reset(purchase, event, run_id)

        async def sees_the_end(again=again) -> bool:
            return await again.query("status") == PurchaseStatus.PAID

        await until(sees_the_end)
    assert await shop.transfers(purchase) == transfers
    assert [each["status"] for each in await shop.payments()] == ["succeeded"]
    assert await shop.refunds(purchase) == [("SUCCEEDED", 10_000, 100)]
    await shop.assert_agreed()


async def test_a_reset_while_the_customer_pays_keeps_the_one_payment(shop: Shop) -> None:
    purchase = await shop.buy()
    await shop.checkout(purchase)
    handle = shop.handle(purchase)
    first = (await task_completions(handle))[0]
    await shop.reset(purchase, first, (await handle.describe()).run_id)
    assert (await shop.pay(purchase)).is_success
    await shop.hear(purchase)
    await shop.becomes(purchase, PurchaseStatus.PAID)
    assert [each["status"] for each in await shop.payments()] == ["succeeded"]
    await shop.assert_agreed()


async def test_a_terminated_purchase_goes_on_by_the_sweep_while_something_is_open(shop: Shop) -> None:
    unpaid, refunding, quiet = await shop.buy(), await bought(shop), await bought(shop)
    paying = (await shop.checkout(unpaid)).checkout
    assert paying is not None
    await shop.stripe.control.post("refunds/mode", status="pending")
    await shop.handle(refunding).execute_update("refund")
    await shop.refunded(refunding, ("PENDING", 10_000, 100))
    for purchase in (unpaid, refunding, quiet):
        await shop.handle(purchase).terminate("an operator was in a hurry")
    assert (await shop.confirm(paying)).is_success
    await shop.stripe.control.post("refunds/settle", outcome="succeeded")
    await grow_old(shop)

    assert await sweep(shop.house) == SweepReport(purchases_started=2)
    await shop.refunded(refunding, ("SUCCEEDED", 10_000, 100))
    await shop.nudge(unpaid)
    await shop.becomes(unpaid, PurchaseStatus.PAID)
    await shop.assert_agreed()


async def test_a_purchase_whose_api_died_before_the_start_is_started(shop: Shop) -> None:
    purchase = await shop.buy(payment_method="pm_card_visa")
    assert await sweep(shop.house) == SweepReport()  # it may just be starting
    await grow_old(shop)
    assert await sweep(shop.house) == SweepReport(purchases_started=1)
    await shop.becomes(purchase, PurchaseStatus.PAID)
    await shop.assert_agreed()


async def test_an_event_that_was_written_down_and_not_passed_on_is_delivered_by_the_sweep(shop: Shop) -> None:
    purchase = await shop.buy()
    await shop.pay(purchase)
    events = await shop.events(purchase)
    async with shop.house.rooms.database.transaction() as session:
        strange = events[-1].model_copy(
            update={"event_id": "evt_strange", "object_ref": "pi_strange", "purchase_id": None}
        )
        for event in (events[-1], strange):
            assert await inbox.receive(session, event, {})

    assert await sweep(shop.house) == SweepReport(events_delivered=1)
    await shop.becomes(purchase, PurchaseStatus.PAID)
    assert await sweep(shop.house) == SweepReport()
    await shop.assert_agreed()


async def test_a_charged_job_whose_workflow_was_terminated_is_refunded_by_the_sweep(shop: Shop) -> None:
    job, purchase = await shop.charge(payment_method="pm_card_visa", uploaded=False)
    await shop.start_both(job, purchase)
    await shop.becomes(purchase, PurchaseStatus.PAID)
    await shop.house.handle(job).terminate("an operator was in a hurry")
    await grow_old(shop)
    report = await sweep(shop.house)
    assert (report.settled, report.refunds_announced) == (1, 1)
    await shop.refunded(purchase, ("SUCCEEDED", 1_000, 10))
    await shop.assert_agreed()


async def test_an_old_refund_is_spoken_of_ever_less_often_and_its_lost_workflow_is_started_at_once(
    shop: Shop,
) -> None:
    await shop.stripe.control.post("faults", match="POST /v1/refunds", kind="500", times=1000)
    purchase = await bought(shop)
    handle = shop.handle(purchase)
    await handle.execute_update("refund")
    await grow_old(shop)
    assert await sweep(shop.house) == SweepReport(refunds_announced=1)
    await age_refunds(shop, "3 days")
    object.__setattr__(shop.house.settings, "sweep_interval_s", 0)  # so that chance has no say
    assert await sweep(shop.house) == SweepReport()

    await handle.terminate()
    assert await sweep(shop.house) == SweepReport(purchases_started=1)
    await shop.mend_provider()
    await shop.refunded(purchase, ("SUCCEEDED", 10_000, 100))
    await shop.assert_agreed()


async def age_refunds(shop: Shop, age: str) -> None:
    async with shop.house.rooms.database.transaction() as session:
        await session.execute(text("SET LOCAL session_replication_role = replica"))
        await session.execute(text(f"UPDATE refunds SET created_at = now() - interval '{age}'"))


def test_a_refund_that_waits_for_a_month_is_spoken_of_some_hundred_times_whenever_passes_come() -> None:
    for seconds in (60, 120, 240):
        between = timedelta(seconds=seconds)
        ages = [pass_ * between for pass_ in range(timedelta(days=30) // between)]
        chances = [chance_of_announcing(age, between) for age in ages]
        assert 100 < sum(chances) < 300
        # Never rarer than the purchase looks for itself, and each pass is as good as any other.
        assert all(between / CARE_LOOKS[-1] <= chance <= 1 for chance in chances)
        assert chances[0] == chances[9] == 1
        assert chances == sorted(chances, reverse=True)
