"""Random customers, cards, faults, webhooks, refunds, disputes and crashes. Whatever came before, in the end:

the books balance, nobody has credits without a payment, no payment is without credits or a refund, and the provider
tells the same story as the ledger, to the won.

The rules run in a thread and hand their work to the test's event loop. `MONEY_MACHINE_RUNS=200` looks further than
the few runs that are the same in every build.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections.abc import Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import httpx
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    consumes,
    initialize,
    multiple,
    precondition,
    rule,
    run_state_machine_as_test,
)
from sqlalchemy import text
from temporalio.client import WorkflowUpdateFailedError
from temporalio.service import RPCError

from contracts.errors import Code
from contracts.payments import PurchaseStatus, RefundTo
from contracts.purchases import PurchaseInput, RefundRequest
from contracts.queues import Queue
from contracts.video_job import JobInput
from dev.platform import Worker as WorkerProcess
from tests.workflows.house import task_completions, until, workers
from tests.workflows.shop import Shop
from tests.workflows.stand_ins import Fails, Gate
from tests.workflows.surroundings import environment_of
from workflows.client import cancel_job

T = TypeVar("T")

RUNS = int(os.environ.get("MONEY_MACHINE_RUNS", "0"))
CARDS = ("pm_card_visa", "pm_card_visa", "pm_card_chargeDeclined", "pm_card_threeDSecure2Required")
FAULTS = ("reset_before", "reset_after", "429", "500", "500_after")
CALLS = (
    "POST /v1/payment_intents",
    "GET /v1/payment_intents/*",
    "POST /v1/payment_intents/*/cancel",
    "POST /v1/refunds",
    "GET /v1/refunds",
    "POST /v1/customers",
)
QUIET_S = 150


@dataclass
class World:
    """What outlives a run: the shop, and the core worker that is killed now and then."""

    shop: Shop
    loop: asyncio.AbstractEventLoop
    folder: Path
    core: WorkerProcess
    deaths: int = 0

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """From the rules' thread."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(timeout=QUIET_S + 60)

    async def kill_core(self) -> None:
        self.core.kill()
        self.deaths += 1
        folder = self.folder / str(self.deaths)
        self.core = WorkerProcess(folder, Queue.CORE, environment_of(self.shop.house.settings))
        await self.core.start()


class Money(RuleBasedStateMachine):
    world: World

    purchases = Bundle("purchases")
    jobs = Bundle("jobs")
    disputes = Bundle("disputes")

    def __init__(self) -> None:
        super().__init__()
        self.shop = self.world.shop
        self.bought: list[PurchaseInput] = []
        self.charged: list[JobInput] = []
        self.killed = False

    # ---- customers --------------------------------------------------------------------------------------

    @initialize(target=purchases)
    def begins_with_a_paid_purchase(self) -> PurchaseInput:
        """Each run tries some of the rules only: none of them shall find nothing to do."""
        return self.world.do(self._begins())

    async def _begins(self) -> PurchaseInput:
        purchase = await self.shop.buy(100, payment_method="pm_card_visa")
        self.bought.append(purchase)
        await self.shop.start(purchase)
        await self.shop.becomes(purchase, PurchaseStatus.PAID)
        return purchase

    @rule(target=purchases, credits=st.sampled_from([100, 500]), card=st.sampled_from(CARDS))
    def buys(self, credits: int, card: str) -> PurchaseInput:
        return self.world.do(self._buys(credits, card))

    async def _buys(self, credits: int, card: str) -> PurchaseInput:
        purchase = await self.shop.buy(credits)
        self.bought.append(purchase)
        await self.shop.start(purchase)
        # The provider may be away just now: the customer gives up, the purchase does not.
        with contextlib.suppress(AssertionError, httpx.HTTPError, TimeoutError, RPCError):
            await self.shop.pay(purchase, card)
        return purchase

    @rule(
        target=purchases,
        fate=st.sampled_from(["succeeds", "fails", "canceled"]),
        refund_to=st.sampled_from(list(RefundTo)),
        card=st.sampled_from(["pm_card_visa", "pm_card_visa", "pm_card_chargeDeclined"]),
    )
    def charges_a_job(self, fate: str, refund_to: RefundTo, card: str) -> PurchaseInput:
        return self.world.do(self._charges(fate, refund_to, card))

    async def _charges(self, fate: str, refund_to: RefundTo, card: str) -> PurchaseInput:
        job, purchase = await self.shop.charge(payment_method=card, refund_to=refund_to)
        on = self.shop.house.stand_ins.on
        if fate == "fails":
            on[f"{job.job_id}/plan_enhance"] = Fails(Code.CORRUPT)
        if fate == "canceled":
            on[f"{job.job_id}/plan_enhance"] = Gate()
        self.bought.append(purchase)
        self.charged.append(job)
        await self.shop.start_both(job, purchase)
        if fate == "canceled":
            await cancel_job(self.shop.house.client, self.shop.house.settings, job)
        return purchase

    @rule(purchase=purchases)
    def cancels_the_purchase(self, purchase: PurchaseInput) -> None:
        self.world.do(self.shop.cancel(purchase))

    # ---- support ----------------------------------------------------------------------------------------

    @rule(purchase=purchases, credits=st.none() | st.integers(1, 600))
    def support_refunds(self, purchase: PurchaseInput, credits: int | None) -> None:
        self.world.do(self._update(purchase, RefundRequest(credits=credits, actor="support:machine")))

    async def _update(self, purchase: PurchaseInput, request: RefundRequest) -> None:
        try:
            async with asyncio.timeout(30):
                await self.shop.handle(purchase).execute_update("refund", request)
        except (WorkflowUpdateFailedError, RPCError, TimeoutError):
            pass  # refused, over, or not answered: all are answers that people get

    @rule(purchase=purchases, which=st.sampled_from([0, 1, -1]))
    def support_resets(self, purchase: PurchaseInput, which: int) -> None:
        self.world.do(self._reset(purchase, which))

    async def _reset(self, purchase: PurchaseInput, which: int) -> None:
        handle: Any = self.shop.handle(purchase)
        run_id = (await handle.describe()).run_id
        targets = await task_completions(handle)
        if targets:
            with contextlib.suppress(RPCError):  # not every event can be reset to
                await self.shop.reset(purchase, targets[min(which, len(targets) - 1)], run_id)

    # ---- the provider -----------------------------------------------------------------------------------

    @rule(match=st.sampled_from(CALLS), kind=st.sampled_from(FAULTS), times=st.integers(1, 2))
    def provider_falters(self, match: str, kind: str, times: int) -> None:
        self.world.do(self.shop.stripe.control.post("faults", match=match, kind=kind, times=times))

    @rule(purchase=purchases, backwards=st.booleans(), twice=st.booleans())
    def webhooks_come(self, purchase: PurchaseInput, backwards: bool, twice: bool) -> None:
        self.world.do(self._hear(purchase, backwards, twice))

    async def _hear(self, purchase: PurchaseInput, backwards: bool, twice: bool) -> None:
        if not await self._payment(purchase):
            return
        events = await self.shop.events(purchase)
        for event in (events[::-1] if backwards else events) * (2 if twice else 1):
            await self.shop.deliver(purchase, event)

    @rule(purchase=purchases, krw=st.none() | st.integers(100, 9_000))
    def dashboard_refunds(self, purchase: PurchaseInput, krw: int | None) -> None:
        self.world.do(self._dashboard_refund(purchase, krw))

    async def _dashboard_refund(self, purchase: PurchaseInput, krw: int | None) -> None:
        payment = await self._payment(purchase)
        if payment and payment["status"] == "succeeded":
            left = payment["amount_received"] - payment["refunded"] - payment["disputed"]
            if left > 0:
                amount = min(krw or left, left)
                await self.shop.stripe.control.post("refund", payment_intent=payment["id"], amount=amount)

    @rule(target=disputes, purchase=purchases)
    def bank_disputes(self, purchase: PurchaseInput) -> Any:
        opened = self.world.do(self._dispute(purchase))
        return multiple() if opened is None else opened

    async def _dispute(self, purchase: PurchaseInput) -> str | None:
        payment = await self._payment(purchase)
        if not payment or payment["status"] != "succeeded" or payment["disputed"] or payment["refunded"]:
            return None
        with contextlib.suppress(httpx.HTTPStatusError):  # a payment is disputed once, whoever wins
            return (await self.shop.stripe.control.post("disputes", payment_intent=payment["id"]))["id"]
        return None

    @rule(dispute=consumes(disputes), outcome=st.sampled_from(["won", "lost"]))
    def bank_decides(self, dispute: str, outcome: str) -> None:
        self.world.do(self.shop.stripe.control.post(f"disputes/{dispute}/close", outcome=outcome))

    # ---- crashes ----------------------------------------------------------------------------------------

    @rule()
    def database_drops_everybody(self) -> None:
        self.world.do(self._drop())

    async def _drop(self) -> None:
        query = text(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
            " WHERE datname = current_database() AND pid <> pg_backend_pid()"
        )
        async with self.shop.house.rooms.database.transaction() as session:
            await session.execute(query)
        # Steps under way have lost theirs; whoever plays customer and webhook here opens new ones.
        await self.shop.house.rooms.database.aclose()

    @precondition(lambda self: not self.killed)
    @rule()
    def core_worker_dies(self) -> None:
        self.killed = True  # once a run: each death costs the steps that it tore their time-out
        self.world.do(self.world.kill_core())

    # ---- the end of a run -------------------------------------------------------------------------------

    def teardown(self) -> None:
        self.world.do(self._settle_and_judge())

    async def _settle_and_judge(self) -> None:
        async with httpx.AsyncClient(trust_env=False) as client:
            (await client.delete(f"{self.shop.stripe.url}/standin/faults")).raise_for_status()
        for purchase in self.bought:
            if await self.shop.status(purchase) in (PurchaseStatus.CREATED, PurchaseStatus.AWAITING_PAYMENT):
                await self.shop.cancel(purchase)
            if await self._payment(purchase):
                await self.shop.hear(purchase)
        try:
            await until(self._is_quiet, seconds=QUIET_S)
        except TimeoutError:
            unsettled = await self._unsettled()
            await self.shop.assert_agreed()
            raise AssertionError(f"not settled after {QUIET_S} s: {unsettled}") from None

    async def _is_quiet(self) -> bool:
        if await self._unsettled():
            return False
        try:
            await self.shop.assert_agreed()
        except AssertionError:
            return False  # what the provider has told last is still being booked
        return True

    async def _unsettled(self) -> list[str]:
        """Purchases, refunds and jobs that something still has to happen to."""
        query = text("""
            SELECT concat_ws(' ', 'purchase', id, status) AS what FROM purchases
            WHERE status IN ('CREATED', 'AWAITING_PAYMENT')
            UNION ALL SELECT concat_ws(' ', 'refund of', purchase_id, status) FROM refunds
            WHERE status IN ('REQUESTED', 'PENDING')
            UNION ALL SELECT concat_ws(' ', 'job', id, status, attention) FROM jobs WHERE finished_at IS NULL""")
        async with self.shop.house.rooms.database.read() as session:
            return list((await session.execute(query)).scalars())

    async def _payment(self, purchase: PurchaseInput) -> dict[str, Any] | None:
        found = [
            payment
            for payment in await self.shop.payments()
            if payment["metadata"].get("purchase_id") == purchase.purchase_id
        ]
        return found[0] if found else None


@pytest.mark.slow
@pytest.mark.timeout(1800)
# A rule cuts connections that somebody is using: they end as garbage, which is what is meant here.
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::pytest.PytestUnraisableExceptionWarning")
async def test_whatever_happens_books_and_provider_agree(closed_shop: Shop, tmp_path: Path) -> None:
    core = WorkerProcess(tmp_path / "0", Queue.CORE, environment_of(closed_shop.house.settings))
    async with workers(closed_shop.house, Queue.TRANSFER, Queue.GPU, Queue.PROVIDERS):
        await core.start()
        world = World(closed_shop, asyncio.get_running_loop(), tmp_path, core)
        machine = type("OneMoney", (Money,), {"world": world})
        try:
            await asyncio.to_thread(
                run_state_machine_as_test,
                machine,
                settings=settings(
                    max_examples=RUNS or 4,
                    stateful_step_count=14,
                    # A run takes too long for the many that shrinking would try.
                    phases=[Phase.explicit, Phase.generate],
                    derandomize=not RUNS,
                    deadline=None,
                    suppress_health_check=[
                        HealthCheck.too_slow,
                        HealthCheck.data_too_large,
                        HealthCheck.filter_too_much,
                    ],
                    database=None,
                ),
            )
        finally:
            world.core.kill()
