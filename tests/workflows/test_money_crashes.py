"""kill -9 of the worker before and after the effect of every step that moves money, enumerated: whoever is charged
has the credits or the money back, exactly once, and the provider's books say the same as ours."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle, WorkflowUpdateFailedError
from temporalio.service import RPCError

from contracts.errors import Code
from contracts.payments import Provider, PurchaseStatus
from contracts.purchases import PurchaseInput, RefundRequest
from contracts.queues import Queue
from contracts.settings import Settings
from contracts.video_job import JobInput
from dev.servers.standins import PortOneStandIn, StripeStandIn
from tests.workflows.house import until, workers
from tests.workflows.mortals import all_have, mortal_workers, spared
from tests.workflows.shop import Shop, open_shop
from tests.workflows.stand_ins import Fails
from tests.workflows.surroundings import environment_of

ALL = 10_000
CHARGE = 1_000
SECONDS = 240
"""Much longer than it takes; a step whose worker died is given up after six."""


@dataclass(frozen=True)
class Case:
    """One purchase, with its job if it pays for one."""

    purchase: PurchaseInput
    job: JobInput | None = None

    @property
    def workflow_ids(self) -> list[str]:
        return [each.workflow_id for each in (self.purchase, self.job) if each is not None]


@dataclass(frozen=True)
class Story:
    open: Callable[[Shop], Awaitable[Case]]
    live: Callable[[Shop, Case], Awaitable[None]]
    end: tuple[str, tuple[tuple[str, int], ...], int, str | None]
    """Status of the purchase, its refunds, credits available at the end, status of the job."""


async def in_the_app(shop: Shop) -> Case:
    return Case(await shop.buy())


async def in_the_app_at_portone(shop: Shop) -> Case:
    return Case(await shop.buy(provider=Provider.PORTONE))


async def declined(shop: Shop) -> Case:
    job, purchase = await shop.charge(payment_method="pm_card_chargeDeclined")
    return Case(purchase, job)


async def declined_at_portone(shop: Shop) -> Case:
    return await charged_at_portone(shop, "billing-key-declined")


async def charged(shop: Shop) -> Case:
    job, purchase = await shop.charge()
    return Case(purchase, job)


async def charged_at_portone(shop: Shop, billing_key: str = "billing-key-ok") -> Case:
    user = await shop.house.user(credits=0)
    theirs = f"{billing_key}-of-{user.id}"
    job, purchase = await shop.charge(user=user, payment_method=theirs, provider=Provider.PORTONE)
    return Case(purchase, job)


async def doomed(shop: Shop) -> Case:
    return fated(shop, await charged(shop))


async def doomed_at_portone(shop: Shop) -> Case:
    return fated(shop, await charged_at_portone(shop))


def fated(shop: Shop, case: Case) -> Case:
    """Its job will fail."""
    assert case.job is not None
    shop.house.stand_ins.on[f"{case.job.job_id}/plan_enhance"] = Fails(Code.CORRUPT)
    return case


async def pay_and_refund(shop: Shop, case: Case) -> None:
    await shop.start(case.purchase)
    await confirm(shop, case.purchase)
    await shop.nudge(case.purchase)
    await shop.becomes(case.purchase, PurchaseStatus.PAID, seconds=SECONDS)
    request = RefundRequest(amount_krw=ALL, request_id="ticket")

    async def accepted() -> bool:
        try:
            await shop.handle(case.purchase).execute_update("refund", request)
        except (RPCError, WorkflowUpdateFailedError):
            return False  # a worker died over the workflow's task, or the workflow has not heard of the payment yet
        return True

    await until(accepted, seconds=SECONDS)
    await shop.refunded(case.purchase, ("SUCCEEDED", ALL, 100), seconds=SECONDS)


async def pay_and_be_refunded_in_the_dashboard(shop: Shop, case: Case) -> None:
    await shop.start(case.purchase)
    await confirm(shop, case.purchase)
    await shop.nudge(case.purchase)
    await shop.becomes(case.purchase, PurchaseStatus.PAID, seconds=SECONDS)
    if case.purchase.provider is Provider.PORTONE:
        await portone_of(shop).control.post("cancel", paymentId=case.purchase.purchase_id)
    else:
        await shop.stripe.control.post("refund", payment_intent=await shop.payment_ref(case.purchase))
    await shop.nudge(case.purchase)
    await shop.refunded(case.purchase, ("SUCCEEDED", ALL, 100), seconds=SECONDS)


async def cancel(shop: Shop, case: Case) -> None:
    await shop.start(case.purchase)
    await shop.becomes(case.purchase, PurchaseStatus.AWAITING_PAYMENT, seconds=SECONDS)
    await shop.cancel(case.purchase)
    await shop.becomes(case.purchase, PurchaseStatus.CANCELED, seconds=SECONDS)


async def run_the_job(shop: Shop, case: Case) -> None:
    assert case.job is not None
    await shop.start_both(case.job, case.purchase)
    with contextlib.suppress(WorkflowFailureError):
        await shop.house.handle(case.job).result()

    async def at_rest() -> bool:
        open_ = [status for status, _, _ in await shop.refunds(case.purchase) if status != "SUCCEEDED"]
        return (await shop.status(case.purchase)).settled and not open_

    await until(at_rest, seconds=SECONDS)


async def confirm(shop: Shop, purchase: PurchaseInput) -> None:
    """The app asks until the provider has answered, then pays."""
    paying = (await shop.checkout(purchase)).checkout
    while paying is None:
        paying = (await shop.checkout(purchase)).checkout
    if purchase.provider is Provider.PORTONE:
        order = {"paymentId": paying.payment_id, "amount": purchase.amount_krw}
        assert "code" not in await portone_of(shop).control.post("pay", **order)
    else:
        assert (await shop.confirm(paying)).is_success


def portone_of(shop: Shop) -> PortOneStandIn:
    assert shop.portone is not None
    return shop.portone


STRIPE = {
    "bought, refunded": Story(in_the_app, pay_and_refund, ("PAID", (("SUCCEEDED", ALL),), 0, None)),
    "refunded in the dashboard": Story(
        in_the_app, pay_and_be_refunded_in_the_dashboard, ("PAID", (("SUCCEEDED", ALL),), 0, None)
    ),
    "cancelled": Story(in_the_app, cancel, ("CANCELED", (), 0, None)),
    "job declined": Story(declined, run_the_job, ("FAILED", (), 0, "FAILED")),
    "job done": Story(charged, run_the_job, ("PAID", (), 0, "SUCCEEDED")),
    "job failed": Story(doomed, run_the_job, ("PAID", (("SUCCEEDED", CHARGE),), 0, "FAILED")),
}
PORTONE = {
    "bought, refunded": Story(
        in_the_app_at_portone, pay_and_refund, ("PAID", (("SUCCEEDED", ALL),), 0, None)
    ),
    "refunded in the console": Story(
        in_the_app_at_portone,
        pay_and_be_refunded_in_the_dashboard,
        ("PAID", (("SUCCEEDED", ALL),), 0, None),
    ),
    "cancelled": Story(in_the_app_at_portone, cancel, ("CANCELED", (), 0, None)),
    "job declined": Story(declined_at_portone, run_the_job, ("FAILED", (), 0, "FAILED")),
    "job failed": Story(doomed_at_portone, run_the_job, ("PAID", (("SUCCEEDED", CHARGE),), 0, "FAILED")),
}
ELSEWHERE = {"ingest", "plan_enhance", "enhance_segment", "mux_enhanced", "clean_up"}
"""Steps of other workers; tests/workflows/test_crash.py and tests/e2e kill those."""

MOMENTS = ("before", "after")


@pytest_asyncio.fixture
async def closed_shop(
    platform_settings: Settings,
    temporal_client: Client,
    stripe_standin: StripeStandIn,
    portone_standin: PortOneStandIn,
) -> AsyncIterator[Shop]:
    """Where both providers are paid."""
    async with open_shop(platform_settings, temporal_client, stripe_standin, portone_standin) as shop:
        yield shop


@pytest.mark.slow
@pytest.mark.parametrize(
    ("stories", "mortal", "boundaries_min"), [(STRIPE, 2, 25), (PORTONE, 1, 15)], ids=["stripe", "portone"]
)
async def test_kill_9_before_and_after_every_step_ends_as_if_nothing_had_happened(
    stories: dict[str, Story], mortal: int, boundaries_min: int, closed_shop: Shop, tmp_path: Path
) -> None:
    """`mortal`: workflows of a case, the purchase first. The steps of its job know no provider: one is enough."""
    shop = closed_shop
    async with workers(shop.house):
        told = await asyncio.gather(*(tell(shop, story) for story in stories.values()))
    for case, (name, story) in zip(told, stories.items(), strict=True):
        assert await end_of(shop, case) == story.end, name
    boundaries = [
        (name, which, step)
        for name, case in zip(stories, told, strict=True)
        for which, workflow_id in enumerate(case.workflow_ids[:mortal])
        for step in await steps_of(shop.house.client.get_workflow_handle(workflow_id))
    ]
    assert len(boundaries) > boundaries_min

    deaths = [(*boundary, moment) for boundary in boundaries for moment in MOMENTS]
    cases = [await stories[name].open(shop) for name, *_ in deaths]
    plan = {
        case.workflow_ids[which]: (step, moment)
        for case, (_, which, step, moment) in zip(cases, deaths, strict=True)
    }
    environment = {
        **environment_of(shop.house.settings),
        **shop.stripe.settings(),
        **portone_of(shop).settings(),
    }
    mortals = mortal_workers(environment, plan, tmp_path, Queue.CORE, Queue.PROVIDERS)
    async with workers(shop.house, Queue.TRANSFER, Queue.GPU), mortals as died:
        async with asyncio.timeout(SECONDS):
            await asyncio.gather(
                *(stories[name].live(shop, case) for case, (name, *_) in zip(cases, deaths, strict=True))
            )
        with contextlib.suppress(TimeoutError):  # who is spared says more
            await until(lambda: all_have(died, plan), seconds=60)
    assert spared(died, plan) == {}

    for case, death in zip(cases, deaths, strict=True):
        assert await end_of(shop, case) == stories[death[0]].end, death
    await shop.assert_agreed()


async def tell(shop: Shop, story: Story) -> Case:
    case = await story.open(shop)
    await story.live(shop, case)
    return case


async def steps_of(handle: WorkflowHandle[Any, Any]) -> list[str]:
    """The different steps of a workflow, in order."""
    scheduled = EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED
    names = [
        event.activity_task_scheduled_event_attributes.activity_type.name
        async for event in handle.fetch_history_events()
        if event.event_type == scheduled
    ]
    return [name for name in dict.fromkeys(names) if name not in ELSEWHERE]


async def end_of(shop: Shop, case: Case) -> tuple[str, tuple[tuple[str, int], ...], int, str | None]:
    refunds = tuple((status, krw) for status, krw, _ in await shop.refunds(case.purchase))
    balance = await shop.balance(case.purchase.user_id)
    assert balance.held == 0
    job = None if case.job is None else (await shop.house.job(case.job)).status.value
    return (await shop.status(case.purchase)).value, refunds, balance.available, job
