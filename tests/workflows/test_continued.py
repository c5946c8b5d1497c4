"""A purchase whose history has grown too long goes on in a new run, which forgets nothing. Temporal itself says when it
is too long; the one of this test says so early."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import pytest_asyncio
from sqlalchemy import text
from temporalio.client import Client
from temporalio.contrib.pydantic import pydantic_data_converter

from contracts.payments import PurchaseStatus
from contracts.purchases import PurchaseInput
from contracts.settings import Settings
from dev.servers.standins import StripeStandIn
from dev.servers.temporal import NAMESPACE, Temporal
from dev.toolchain import find
from tests.workflows.house import card_of, until, workers
from tests.workflows.shop import Shop, open_shop
from tests.workflows.test_own_faults import calls_support, paid, shows
from workflows import search

TOO_LONG = 80
"""Events; more than a new run makes before it waits."""

Ending = Callable[[], Awaitable[None]]


@pytest_asyncio.fixture
async def impatient(
    platform_settings: Settings, stripe_standin: StripeStandIn, tmp_path_factory: pytest.TempPathFactory
) -> AsyncIterator[Shop]:
    """A shop, not yet open, on a Temporal that suggests to continue as new after TOO_LONG events."""
    folder = tmp_path_factory.mktemp("impatient")
    limits = {"limit.historyCount.suggestContinueAsNew": TOO_LONG}
    server = Temporal(folder, folder / "logs", await find.temporal(), limits=limits)
    await server.start()
    client = await Client.connect(server.address, namespace=NAMESPACE, data_converter=pydantic_data_converter)
    settings = platform_settings.model_copy(update={"temporal_address": server.address})
    async with open_shop(settings, client, stripe_standin) as shop:
        yield shop
    await server.stop()


async def continued(shop: Shop, purchase: PurchaseInput) -> None:
    """Told so much that another run cares for it, once it has listened to all."""
    handle = shop.handle(purchase)
    first = (await handle.describe()).run_id

    for _ in range(TOO_LONG // 4):
        await shop.nudge(purchase)

    async def is_another() -> bool:
        return (await handle.describe()).run_id != first

    await until(is_another, seconds=60)
    attributes = (await handle.describe()).typed_search_attributes
    assert attributes[search.USER_ID] == purchase.user_id


async def has_a_refund_on_its_way(shop: Shop) -> Ending:
    purchase = await paid(shop)
    await shop.handle(purchase).execute_update("refund")
    await shop.refunded(purchase, ("PENDING", 10_000, 100))
    await continued(shop, purchase)
    assert "1 refund(s) of 10,000 won on the way" in await card_of(shop.handle(purchase))

    async def ends() -> None:
        await shop.nudge(purchase)
        await shop.refunded(purchase, ("SUCCEEDED", 10_000, 100))

    return ends


async def has_a_dispute(shop: Shop) -> Ending:
    purchase = await paid(shop)
    dispute = await shop.stripe.control.post("disputes", payment_intent=await shop.payment_ref(purchase))
    await continued(shop, purchase)
    assert "100 credits are frozen" in await card_of(shop.handle(purchase))

    async def ends() -> None:
        await shop.stripe.control.post(f"disputes/{dispute['id']}/close", outcome="won")
        await shop.nudge(purchase)

        async def has_its_credits() -> bool:
            return (await shop.balance(purchase.user_id)).available == 100

        await until(has_its_credits)

    return ends


async def has_a_failed_refund(shop: Shop) -> Ending:
    purchase = await paid(shop)
    await shop.handle(purchase).execute_update("refund")
    await shop.refunded(purchase, ("PENDING", 10_000, 100))
    async with shop.house.rooms.database.read() as session:
        query = text("SELECT provider_ref FROM refunds WHERE purchase_id = :id")
        ref = await session.scalar(query, {"id": purchase.purchase_id})
    await shop.stripe.control.post(f"refunds/{ref}/settle", outcome="failed")
    await shop.nudge(purchase)
    await calls_support(shop, purchase)
    await continued(shop, purchase)
    assert "1 refund(s) failed" in await card_of(shop.handle(purchase))

    async def ends() -> None:
        await shop.handle(purchase).execute_update("dismiss")
        await calls_support(shop, purchase, False)

    return ends


async def has_a_fault(shop: Shop) -> Ending:
    purchase = await paid(shop)
    shop.house.broken.steps.add((purchase.workflow_id, "reconcile_purchase"))
    await shop.nudge(purchase)
    await shows(shop, purchase, "reconcile_purchase")
    await continued(shop, purchase)
    # Seconds before that run can learn of it by itself.
    await shows(shop, purchase, "reconcile_purchase")

    async def ends() -> None:
        shop.house.broken.steps.clear()
        await shop.nudge(purchase)
        await calls_support(shop, purchase, False)

    return ends


async def is_not_paid(shop: Shop) -> Ending:
    """The customer is told of the payment by whichever run sees it; the deadline is the first run's."""
    purchase = await shop.buy()
    await shop.checkout(purchase)
    begun = (await shop.handle(purchase).describe()).start_time
    await continued(shop, purchase)
    memory, now = (await given_to(shop, purchase)).memory, await shop.handle(purchase).describe()
    assert memory is not None
    assert begun <= memory.started_at < now.start_time
    assert (await shop.pay(purchase)).is_success

    async def ends() -> None:
        await shop.nudge(purchase)
        await shop.becomes(purchase, PurchaseStatus.PAID)

        async def is_told() -> bool:
            return shop.house.stand_ins.notices[purchase.purchase_id] == ["paid"]

        await until(is_told)

    return ends


async def was_cancelled_too_late(shop: Shop) -> Ending:
    purchase = await paid(shop)
    await shop.cancel(purchase)
    await continued(shop, purchase)

    async def ends() -> None:
        await shop.handle(purchase).execute_update("refund")
        await shop.refunded(purchase, ("PENDING", 10_000, 100))

    return ends


async def given_to(shop: Shop, purchase: PurchaseInput) -> PurchaseInput:
    """The input of its latest run."""
    async for event in shop.handle(purchase).fetch_history_events():
        given = event.workflow_execution_started_event_attributes.input.payloads
        (value,) = await shop.house.client.data_converter.decode(given, [PurchaseInput])
        return value
    raise AssertionError("every history has a beginning")


async def test_a_purchase_goes_on_in_a_new_run_as_if_nothing_had_happened(impatient: Shop) -> None:
    shop = impatient
    await shop.stripe.control.post("refunds/mode", status="pending")
    async with workers(shop.house):
        endings = await asyncio.gather(
            has_a_refund_on_its_way(shop),
            has_a_dispute(shop),
            has_a_failed_refund(shop),
            has_a_fault(shop),
            is_not_paid(shop),
            was_cancelled_too_late(shop),
        )
        await shop.stripe.control.post("refunds/settle", outcome="succeeded")
        await asyncio.gather(*(end() for end in endings))
    await shop.assert_agreed()
