"""The stories of purchases and of jobs paid by card, told like those of tests/workflows/stories.py."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowHandle

from contracts.errors import Code
from contracts.payments import PurchaseStatus
from contracts.purchases import PurchaseInput
from contracts.timing import JobDeadlines, PurchaseDeadlines
from tests.workflows.house import until
from tests.workflows.shop import Purchasing, Shop
from tests.workflows.stand_ins import Fails

TIMER_STARTED = EventType.EVENT_TYPE_TIMER_STARTED
STARTED = EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED

MoneyStory = Callable[[Shop], Awaitable[WorkflowHandle[Any, Any]]]


async def paid(shop: Shop) -> Purchasing:
    purchase = await shop.buy()
    await shop.start(purchase)
    await rests(shop, purchase, PurchaseStatus.AWAITING_PAYMENT, steps=1)
    await shop.pay(purchase)
    await shop.nudge(purchase)
    await rests(shop, purchase, PurchaseStatus.PAID, steps=4)
    return await put_away(shop, purchase)


async def declined(shop: Shop) -> Purchasing:
    purchase = await shop.buy(payment_method="pm_card_chargeDeclined")
    return await shop.start(purchase)


async def unpaid(shop: Shop) -> Purchasing:
    purchase = await shop.buy(deadlines=PurchaseDeadlines(payment_s=30))
    return await shop.start(purchase, skip_time=True)


async def refunded(shop: Shop) -> Purchasing:
    purchase = await granted(shop)
    await shop.handle(purchase).execute_update("refund")
    await rests(shop, purchase, PurchaseStatus.PAID, steps=6)
    return await put_away(shop, purchase)


async def refund_failed(shop: Shop) -> Purchasing:
    await shop.stripe.control.post("refunds/mode", status="pending")
    purchase = await granted(shop)
    await shop.handle(purchase).execute_update("refund")
    await rests(shop, purchase, PurchaseStatus.PAID, steps=7)
    await shop.stripe.control.post("refunds/settle", outcome="failed")
    await shop.nudge(purchase)
    await shop.refunded(purchase, ("FAILED", 10_000, 100))
    await done(shop, purchase, steps=9)
    await shop.handle(purchase).execute_update("dismiss")
    await shop.stripe.control.post("refunds/mode", status="succeeded")
    return await put_away(shop, purchase)


async def unsent(shop: Shop) -> Purchasing:
    """By a fault of ours, which the look at everything else does not hide."""
    purchase = await granted(shop)
    broken = (purchase.workflow_id, "send_refunds")
    shop.house.broken.steps.add(broken)
    await shop.handle(purchase).execute_update("refund")
    await rests(shop, purchase, PurchaseStatus.PAID, steps=6)
    shop.house.broken.steps.remove(broken)
    await shop.nudge(purchase)
    await rests(shop, purchase, PurchaseStatus.PAID, steps=8)
    return await put_away(shop, purchase)


async def disputed(shop: Shop) -> Purchasing:
    purchase = await granted(shop)
    ref = await shop.payment_ref(purchase)
    dispute = await shop.stripe.control.post("disputes", payment_intent=ref)
    await shop.nudge(purchase)
    await rests(shop, purchase, PurchaseStatus.PAID, steps=5)
    await shop.stripe.control.post(f"disputes/{dispute['id']}/close", outcome="lost")
    await shop.nudge(purchase)
    await rests(shop, purchase, PurchaseStatus.PAID, steps=6)
    return await put_away(shop, purchase)


async def charged_succeeded(shop: Shop) -> WorkflowHandle[Any, Any]:
    job, purchase = await shop.charge()
    await shop.start(purchase)
    await rests(shop, purchase, PurchaseStatus.PAID, steps=4)
    return await shop.house.start(job)


async def charged_failed(shop: Shop) -> WorkflowHandle[Any, Any]:
    shop.house.stand_ins.on["plan_enhance"] = Fails(Code.CORRUPT)
    return await charged_succeeded(shop)


async def charge_expired(shop: Shop) -> WorkflowHandle[Any, Any]:
    job, purchase = await shop.charge(payment_method=None, deadlines=JobDeadlines(payment_s=30))
    await shop.start(purchase)
    await rests(shop, purchase, PurchaseStatus.AWAITING_PAYMENT, steps=1)
    return await shop.house.start(job, skip_time=True)


async def granted(shop: Shop) -> PurchaseInput:
    purchase = await shop.buy(payment_method="pm_card_visa")
    await shop.start(purchase)
    await rests(shop, purchase, PurchaseStatus.PAID, steps=4)
    return purchase


async def rests(shop: Shop, purchase: PurchaseInput, status: PurchaseStatus, *, steps: int) -> None:
    """Its workflow has done so many steps and waits: its last command is a timer."""
    await done(shop, purchase, steps)
    assert await shop.status(purchase) is status

    async def waits() -> bool:
        handle = shop.handle(purchase)
        return [event.event_type async for event in handle.fetch_history_events()][-1] == TIMER_STARTED

    await until(waits)


async def done(shop: Shop, purchase: PurchaseInput, steps: int) -> None:
    async def are() -> bool:
        events = [event.event_type async for event in shop.handle(purchase).fetch_history_events()]
        return events.count(STARTED) == steps

    await until(are)


async def put_away(shop: Shop, purchase: PurchaseInput) -> Purchasing:
    """It would wait for half a year."""
    handle = shop.handle(purchase)
    await handle.terminate()
    return handle


MONEY_STORIES: dict[str, MoneyStory] = {
    story.__name__: story
    for story in (
        paid, declined, unpaid, refunded, refund_failed, unsent, disputed,
        charged_succeeded, charged_failed, charge_expired,
    )
}  # fmt: skip
