"""Reconciliation against reality: the real provider's statement (a stand-in's), books, and sagas in Temporal.

Where a story needs time to have passed, its rows are dated back: what was fetched before is kept as it was.
"""

from __future__ import annotations

from datetime import timedelta
from uuid import uuid4

import httpx
from sqlalchemy import text
from temporalio.client import WorkflowHandle

from contracts.errors import Code
from contracts.finance import DifferenceKind, Reconciled, ReconcileReport, ReconcileRequest
from contracts.payments import PurchaseStatus
from contracts.purchases import PurchaseInput, RefundRequest
from db import reconciliations
from db.ids import new_id
from tests.workflows.house import until
from tests.workflows.shop import Shop
from tests.workflows.stand_ins import Fails, Gate
from workflows import search
from workflows.client import start_reconciliation
from workflows.maintenance import SweepWorkflow
from workflows.reconcile import ReconcileWorkflow

Found = list[tuple[DifferenceKind, int]]
"""Kinds and won."""

LATER = timedelta(hours=1)


async def reconcile(shop: Shop) -> Reconciled:
    request = ReconcileRequest(reconciliation_id=new_id("rec"), requested_by="finance:test")
    await start_reconciliation(shop.house.client, shop.house.settings, request)
    handle: WorkflowHandle[ReconcileWorkflow, ReconcileReport] = shop.house.client.get_workflow_handle_for(
        ReconcileWorkflow.run, f"reconcile/{request.reconciliation_id}"
    )
    report = await handle.result()
    async with shop.house.rooms.database.read() as session:
        found = await reconciliations.get(session, report.reconciliation_id)
    assert report.differences == len(found.differences) == sum(report.by_kind.values())
    return found


async def differences(shop: Shop) -> Found:
    return [(each.kind, each.amount_krw) for each in (await reconcile(shop)).differences]


async def later(shop: Shop) -> None:
    """As if an hour had passed since everything that is written down so far."""
    await execute(shop, "UPDATE provider_entries SET occurred_at = occurred_at - :later", later=LATER)
    await execute(shop, "UPDATE jobs SET created_at = created_at - :later", later=LATER)
    await execute(shop, "UPDATE purchases SET created_at = created_at - :later", later=LATER)


async def execute(shop: Shop, statement: str, **values: object) -> None:
    """Behind the back of the database's rules."""
    async with shop.house.rooms.database.transaction() as session:
        await session.execute(text("SET LOCAL session_replication_role = replica"))
        await session.execute(text(statement), values)


async def paid(shop: Shop, credits: int = 100) -> PurchaseInput:
    purchase = await shop.buy(credits, payment_method="pm_card_visa")
    assert (await shop.checkout(purchase)).status is PurchaseStatus.PAID
    return purchase


async def test_nothing_differs_after_an_ordinary_day(shop: Shop) -> None:
    whole, disputed, dashboard = await paid(shop), await paid(shop, 500), await paid(shop)
    await shop.handle(whole).execute_update("refund", RefundRequest(actor="support:test"))
    await shop.refunded(whole, ("SUCCEEDED", 10_000, 100))
    control = shop.stripe.control
    dispute = await control.post("disputes", payment_intent=await shop.payment_ref(disputed))
    await shop.hear(disputed)
    await control.post(f"disputes/{dispute['id']}/close", outcome="won")
    await control.post("refund", payment_intent=await shop.payment_ref(dashboard), amount=1_500)
    for purchase in (whole, disputed, dashboard):
        await shop.hear(purchase)
    await shop.refunded(dashboard, ("SUCCEEDED", 1_500, 15))
    job, charge = await shop.charge()
    shop.house.stand_ins.on[f"{job.job_id}/plan_enhance"] = Fails(Code.CORRUPT)
    await shop.start_both(job, charge)
    await shop.refunded(charge, ("SUCCEEDED", 1_000, 10))
    await until_closed(shop, job.workflow_id)
    await control.post("payouts")
    await until_agreed(shop)

    found = await reconcile(shop)
    assert found.differences == ()
    await later(shop)
    found = await reconcile(shop)

    assert found.differences == ()
    [stripe] = found.providers
    assert (stripe.received_krw, stripe.refunded_krw, stripe.disputed_krw) == (61_000, 12_500, 0)
    assert stripe.cash_krw == 48_500
    assert stripe.paid_out_krw == 48_500 - stripe.fees_krw
    assert found.jobs_compared == 1


async def test_a_payment_that_nobody_has_made_yet_is_counted_as_under_way(shop: Shop) -> None:
    await paid(shop)
    waiting = await shop.buy(500)
    await shop.checkout(waiting)

    found = await reconcile(shop)

    assert found.differences == ()
    assert found.under_way is not None
    assert [(of.stage, of.payments, of.amount_krw) for of in found.under_way.stages] == [
        ("not_paid", 1, 40_000)
    ]
    assert [payment.subject for payment in found.under_way.oldest] == [waiting.purchase_id]


async def test_a_payment_of_nobody_is_found_once_it_cannot_be_on_its_way_any_more(shop: Shop) -> None:
    form = {
        "amount": 7_000,
        "currency": "krw",
        "confirm": "true",
        "payment_method": "pm_card_visa",
        "allowed_payment_method_types[]": "card",
    }
    headers = {"Authorization": f"Bearer {shop.stripe.secret_key}"}
    async with httpx.AsyncClient(base_url=shop.stripe.url, trust_env=False) as http:
        made = await http.post("/v1/payment_intents", data=form, headers=headers)
    assert made.json()["status"] == "succeeded", made.text
    assert await differences(shop) == []
    await later(shop)

    found = (await reconcile(shop)).differences

    assert [(each.kind, each.amount_krw) for each in found] == [(DifferenceKind.PAYMENT_UNKNOWN, 7_000)]
    assert made.json()["id"] in found[0].detail


async def test_a_refund_in_the_dashboard_that_nobody_told_us_of_is_found_and_then_booked(shop: Shop) -> None:
    purchase = await paid(shop)
    ref = await shop.payment_ref(purchase)
    await shop.stripe.control.post("refund", payment_intent=ref, amount=3_000)
    assert await differences(shop) == []
    await later(shop)
    assert await differences(shop) == [(DifferenceKind.REFUND_NOT_BOOKED, 3_000)]

    # No webhook ever comes: the purchase was told by the reconciliation.
    await shop.refunded(purchase, ("SUCCEEDED", 3_000, 30))
    assert await differences(shop) == []


async def test_a_dispute_that_nobody_told_us_of_is_found_and_then_booked(shop: Shop) -> None:
    purchase = await paid(shop)
    await shop.stripe.control.post("disputes", payment_intent=await shop.payment_ref(purchase))
    assert await differences(shop) == []
    await later(shop)
    assert await differences(shop) == [(DifferenceKind.DISPUTE_NOT_BOOKED, 10_000)]

    await until_agreed(shop)
    assert await differences(shop) == []


async def test_a_payment_whose_workflow_was_terminated_is_found_and_the_sweep_books_it(shop: Shop) -> None:
    purchase = await shop.buy()
    handle = await shop.start(purchase)
    checkout = (await shop.checkout(purchase)).checkout
    assert checkout is not None
    await handle.terminate("by mistake")
    await shop.confirm(checkout)
    assert await differences(shop) == []
    await later(shop)
    assert sorted(await differences(shop)) == [
        (DifferenceKind.PAYMENT_NOT_BOOKED, 10_000),
        (DifferenceKind.PURCHASE_WITHOUT_WORKFLOW, 0),
    ]

    await sweep(shop)

    await shop.becomes(purchase, PurchaseStatus.PAID)
    assert await differences(shop) == []


async def test_jobs_without_a_workflow_are_found_and_the_sweep_settles_them(shop: Shop) -> None:
    house = shop.house
    gate = house.stand_ins.on["plan_enhance"] = Gate()
    never_started, terminated = await house.open_job(), await house.open_job()
    handle = await house.start(terminated)
    await gate.reached.wait()
    await handle.terminate("by mistake")
    assert await differences(shop) == []
    await later(shop)
    assert await differences(shop) == [(DifferenceKind.JOB_WITHOUT_WORKFLOW, 0)] * 2

    gate.opened.set()
    await sweep(shop)

    await until_closed(shop, never_started.workflow_id)
    assert (await house.job(terminated)).status == "FAILED"
    assert await differences(shop) == []


async def test_a_workflow_that_ended_otherwise_than_its_job_is_found(shop: Shop) -> None:
    house = shop.house
    gate = house.stand_ins.on["notify"] = Gate()
    handle = await house.start(await house.open_job())
    await gate.reached.wait()

    await handle.terminate("after the job had succeeded")

    assert await differences(shop) == [(DifferenceKind.JOB_DISAGREES, 0)]


async def test_a_refund_that_failed_differs_until_somebody_has_seen_to_it(shop: Shop) -> None:
    purchase = await paid(shop)
    await shop.stripe.control.post("refunds/mode", status="failed")
    await shop.handle(purchase).execute_update("refund", RefundRequest(actor="support:test"))
    await until_attention(shop, purchase)
    assert await differences(shop) == [(DifferenceKind.REFUND_FAILED, 10_000)]

    await shop.handle(purchase).execute_update("dismiss")

    assert await differences(shop) == []


async def test_a_payout_that_is_not_the_sum_of_its_entries_is_found(shop: Shop) -> None:
    await paid(shop)
    await shop.stripe.control.post("payouts")
    assert await differences(shop) == []

    await execute(shop, "UPDATE provider_payouts SET amount_krw = amount_krw - 1")

    assert await differences(shop) == [(DifferenceKind.PAYOUT_DIFFERS, -1)]


async def test_money_that_left_the_provider_behind_everybodys_back_is_found(shop: Shop) -> None:
    """Books that were restored from an older backup: the provider knows more than they do, and the other way round."""
    purchase = await paid(shop)
    assert await differences(shop) == []
    await shop.stripe.control.post("reset", webhook_url="")
    await execute(shop, "DELETE FROM provider_entries")
    assert await differences(shop) == [(DifferenceKind.PAYMENT_MISSING, purchase.amount_krw)]


async def test_a_provider_that_falters_is_asked_again(shop: Shop) -> None:
    await paid(shop)
    for kind in ("500", "reset_before", "429"):
        await shop.stripe.control.post("faults", match="GET /v1/balance_transactions", kind=kind, times=1)
    found = await reconcile(shop)
    assert found.differences == ()
    assert found.providers[0].received_krw == 10_000


async def sweep(shop: Shop) -> None:
    queue = shop.house.settings.queue_prefix + "core"
    await shop.house.client.execute_workflow(SweepWorkflow.run, id=f"sweep-{uuid4().hex}", task_queue=queue)


async def until_closed(shop: Shop, workflow_id: str) -> None:
    async def is_closed() -> bool:
        return (await shop.house.client.get_workflow_handle(workflow_id).describe()).close_time is not None

    await until(is_closed)


async def until_agreed(shop: Shop) -> None:
    """Until what the provider has told last is booked."""

    async def agrees() -> bool:
        try:
            await shop.assert_agreed()
        except AssertionError:
            return False
        return True

    await until(agrees)


async def until_attention(shop: Shop, purchase: PurchaseInput) -> None:
    """Until support is shown that something of the purchase has failed."""

    async def is_shown() -> bool:
        await shop.hear(purchase)
        return (await shop.handle(purchase).describe()).typed_search_attributes[search.NEEDS_ATTENTION]

    await until(is_shown)
