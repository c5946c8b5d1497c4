"""A fault of ours in a step of a purchase: support sees it, it is tried again by itself, and a repair mends all."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import text
from temporalio.api.enums.v1 import EventType
from temporalio.client import WorkflowUpdateFailedError
from temporalio.exceptions import ApplicationError

from contracts.errors import Code
from contracts.payments import PurchaseStatus
from contracts.purchases import PurchaseInput
from tests.workflows.house import card_of, until
from tests.workflows.shop import Shop
from workflows import search


async def calls_support(shop: Shop, purchase: PurchaseInput, expected: bool = True) -> None:
    """By the attribute that the saved view filters by."""

    async def does() -> bool:
        found = (await shop.handle(purchase).describe()).typed_search_attributes
        return found[search.NEEDS_ATTENTION] is expected

    await until(does)


async def shows(shop: Shop, purchase: PurchaseInput, step: str) -> None:
    await calls_support(shop, purchase)
    card = await card_of(shop.handle(purchase))
    for line in ("Waits for support", f"`internal` · `{step}: ", "give this card to an engineer"):
        assert line in card


async def paid(shop: Shop) -> PurchaseInput:
    purchase = await shop.buy(payment_method="pm_card_visa")
    assert (await shop.checkout(purchase)).status is PurchaseStatus.PAID
    return purchase


async def test_every_step_that_breaks_is_shown_and_goes_on_once_it_is_repaired(shop: Shop) -> None:
    broken = shop.house.broken.steps

    async def breaks(purchase: PurchaseInput, step: str) -> None:
        broken.add((purchase.workflow_id, step))

    async def mended(purchase: PurchaseInput, step: str) -> None:
        await shows(shop, purchase, step)
        broken.remove((purchase.workflow_id, step))
        await shop.nudge(purchase)

    async def creation() -> None:
        purchase = await shop.buy()
        await breaks(purchase, "create_payment")
        await shop.start(purchase)
        await mended(purchase, "create_payment")
        await shop.becomes(purchase, PurchaseStatus.AWAITING_PAYMENT)
        assert (await shop.pay(purchase)).is_success
        await shop.hear(purchase)
        await shop.becomes(purchase, PurchaseStatus.PAID)
        await calls_support(shop, purchase, False)

    async def payment() -> None:
        purchase = await shop.buy()
        await breaks(purchase, "verify_payment")
        assert (await shop.pay(purchase)).is_success
        await shop.nudge(purchase)
        await mended(purchase, "verify_payment")
        await shop.becomes(purchase, PurchaseStatus.PAID)
        await calls_support(shop, purchase, False)

    async def closing() -> None:
        purchase = await shop.buy()
        await shop.checkout(purchase)
        await breaks(purchase, "close_payment")
        await shop.cancel(purchase)
        await mended(purchase, "close_payment")
        await shop.becomes(purchase, PurchaseStatus.CANCELED)
        await calls_support(shop, purchase, False)

    async def sending() -> None:
        purchase = await paid(shop)
        await breaks(purchase, "send_refunds")
        await shop.handle(purchase).execute_update("refund")
        # The look at everything else, which goes well, must not hide it.
        await until(lambda: has_looked(shop, purchase))
        await mended(purchase, "send_refunds")
        await shop.refunded(purchase, ("SUCCEEDED", 10_000, 100))
        await calls_support(shop, purchase, False)

    async def looking() -> None:
        purchase = await paid(shop)
        await breaks(purchase, "reconcile_purchase")
        await shop.nudge(purchase)
        await mended(purchase, "reconcile_purchase")
        await calls_support(shop, purchase, False)

    async def asking() -> None:
        """Whoever presses is told; nothing is half done."""
        purchase = await paid(shop)
        await breaks(purchase, "request_refund")
        with pytest.raises(WorkflowUpdateFailedError) as refusal:
            await shop.handle(purchase).execute_update("refund")
        assert isinstance(refusal.value.cause, ApplicationError)
        assert refusal.value.cause.type == Code.INTERNAL
        assert await shop.refunds(purchase) == []

    await asyncio.gather(creation(), payment(), closing(), sending(), looking(), asking())
    await shop.assert_agreed()


async def has_looked(shop: Shop, purchase: PurchaseInput) -> bool:
    """Whether its latest finished step is a look at refunds and disputes."""
    names: dict[int, str] = {}
    finished = ""
    async for event in shop.handle(purchase).fetch_history_events():
        if event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED:
            names[event.event_id] = event.activity_task_scheduled_event_attributes.activity_type.name
        elif event.event_type == EventType.EVENT_TYPE_ACTIVITY_TASK_COMPLETED:
            finished = names[event.activity_task_completed_event_attributes.scheduled_event_id]
    return finished == "reconcile_purchase"


async def test_what_the_database_refuses_is_shown_without_the_row_and_booked_after_the_repair(
    shop: Shop,
) -> None:
    purchase = await shop.buy()
    await shop.checkout(purchase)
    await execute(shop, "ALTER TABLE purchases ADD CONSTRAINT a_mistake CHECK (status <> 'PAID') NOT VALID")
    assert (await shop.pay(purchase)).is_success
    await shop.nudge(purchase)
    await shows(shop, purchase, "verify_payment")
    card = await card_of(shop.handle(purchase))
    assert "a_mistake" in card
    assert purchase.user_id not in card

    await execute(shop, "ALTER TABLE purchases DROP CONSTRAINT a_mistake")
    await shop.nudge(purchase)
    await shop.becomes(purchase, PurchaseStatus.PAID)
    await calls_support(shop, purchase, False)
    await shop.assert_agreed()


async def execute(shop: Shop, statement: str) -> None:
    async with shop.house.rooms.database.transaction() as session:
        await session.execute(text(statement))
