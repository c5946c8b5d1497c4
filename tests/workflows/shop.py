"""What money tests add to a house: customers who buy at a real payment stand-in, and the audit that ends every test.

The API's part (rows in one transaction, then a start) and the webhook's are played here; the provider, the workflow,
its steps and the books are the real ones.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import httpx
from pydantic import SecretStr
from sqlalchemy import Row, text
from temporalio.api.common.v1 import WorkflowExecution
from temporalio.api.workflowservice.v1 import ResetWorkflowExecutionRequest
from temporalio.client import Client, WorkflowHandle
from temporalio.testing import TimeSkipper, TimeSkippingConfig

from contracts.ids import JobId, PurchaseId, UserId, purchase_id
from contracts.ledger import Balance
from contracts.payments import Checkout, Provider, ProviderEvent, PurchaseStatus, RefundTo
from contracts.pricing import CHARGE_KRW_PER_CREDIT, Quote
from contracts.purchases import CheckoutAnswer, PurchaseInput, PurchaseOutcome
from contracts.settings import PortOneSettings, Settings, StripeSettings
from contracts.timing import JobDeadlines, PurchaseDeadlines
from contracts.video_job import JobInput
from db import inbox, jobs, ledger, purchases, settlement
from db.ids import new_id
from db.tables import User
from dev.servers.standins import PortOneStandIn, StripeStandIn
from tests.workflows.house import House, open_house, until
from workflows import client as workflow
from workflows.token_purchase import TokenPurchaseWorkflow

Purchasing = WorkflowHandle[TokenPurchaseWorkflow, PurchaseOutcome]

PACKAGES_KRW = {100: 10_000, 500: 40_000, 1_000: 70_000}


@dataclass
class Shop:
    house: House
    stripe: StripeStandIn
    portone: PortOneStandIn | None = None

    # ---- what the API would do --------------------------------------------------------------------------

    async def buy(
        self,
        credits: int = 100,
        *,
        user: User | None = None,
        payment_method: str | None = None,
        provider: Provider = Provider.STRIPE,
        deadlines: PurchaseDeadlines | None = None,
    ) -> PurchaseInput:
        """The row of a purchase, as after POST /payments/tokens; nobody has told its workflow yet."""
        user = user or await self.house.user(credits=0)
        async with self.house.rooms.database.transaction() as session:
            prices = {price.credits: price for price in await purchases.on_sale(session, datetime.now(UTC))}
            row = await purchases.create(
                session,
                purchase_id=purchase_id(user.id, uuid4().hex),
                user_id=user.id,
                provider=provider,
                credits=credits,
                amount_krw=prices[credits].krw,
                price_id=prices[credits].id,
                job_id=None,
                payment_method=payment_method,
                refund_to=RefundTo.CREDITS,
            )
            return purchases.purchase_input(row, deadlines or self.house.settings.purchase_deadlines)

    async def charge(
        self,
        quote: int = 10,
        *,
        user: User | None = None,
        payment_method: str | None = "pm_card_visa",
        provider: Provider = Provider.STRIPE,
        refund_to: RefundTo = RefundTo.CARD,
        uploaded: bool = True,
        deadlines: JobDeadlines | None = None,
    ) -> tuple[JobInput, PurchaseInput]:
        """A job paid by card and its purchase, in one transaction; neither workflow is started."""
        user, job_id = user or await self.house.user(credits=0), JobId(new_id("job"))
        async with self.house.rooms.database.transaction() as session:
            video = await self.house.source(session, user, uploaded)
            purchase = await purchases.create(
                session,
                purchase_id=purchase_id(user.id, uuid4().hex),
                user_id=user.id,
                provider=provider,
                credits=quote,
                amount_krw=quote * CHARGE_KRW_PER_CREDIT,
                price_id=None,
                job_id=job_id,
                payment_method=payment_method,
                refund_to=refund_to,
            )
            job = await settlement.open_job(
                session,
                user=user,
                kind="enhance",
                params={},
                video=video,
                quote=Quote(credits=quote, started_minutes=1, credits_per_minute=quote, basis="assumed"),
                uploaded=uploaded,
                job_id=job_id,
                purchase_id=purchase.id,
            )
            await session.refresh(video)
            return (
                jobs.job_input(job, video, deadlines or self.house.settings.deadlines),
                purchases.purchase_input(purchase, self.house.settings.purchase_deadlines),
            )

    async def start(self, purchase: PurchaseInput, *, skip_time: bool = False) -> Purchasing:
        """With `skip_time` the server lets no timer wait: for purchases that nobody will speak to."""
        client = self.house.client
        if skip_time:
            client = TimeSkipper(client, config=TimeSkippingConfig()).client
        assert await workflow.start_purchase(client, self.house.settings, purchase)
        return self.handle(purchase)

    async def start_both(self, job: JobInput, purchase: PurchaseInput) -> None:
        await self.start(purchase)
        await self.house.start(job)

    def handle(self, purchase: PurchaseInput, run_id: str | None = None) -> Purchasing:
        return self.house.client.get_workflow_handle_for(
            TokenPurchaseWorkflow.run, purchase.workflow_id, run_id=run_id
        )

    async def checkout(self, purchase: PurchaseInput, timeout_s: float = 10) -> CheckoutAnswer:
        return await workflow.checkout(self.house.client, self.house.settings, purchase, timeout_s)

    async def cancel(self, purchase: PurchaseInput) -> None:
        await workflow.cancel_purchase(self.house.client, self.house.settings, purchase)

    async def reset(self, purchase: PurchaseInput, event_id: int, run_id: str) -> Purchasing:
        answer = await self.house.client.workflow_service.reset_workflow_execution(
            ResetWorkflowExecutionRequest(
                namespace=self.house.client.namespace,
                workflow_execution=WorkflowExecution(workflow_id=purchase.workflow_id, run_id=run_id),
                reason="test",
                workflow_task_finish_event_id=event_id,
                request_id=uuid4().hex,
            )
        )
        return self.handle(purchase, answer.run_id)

    # ---- what the customer and the provider do ----------------------------------------------------------

    async def pay(self, purchase: PurchaseInput, card: str = "pm_card_visa") -> httpx.Response:
        """The app's PaymentSheet confirms; the answer is for the app alone."""
        paying = (await self.checkout(purchase)).checkout
        assert paying is not None
        return await self.confirm(paying, card)

    async def confirm(self, paying: Checkout, card: str = "pm_card_visa") -> httpx.Response:
        form = {
            "client_secret": paying.client_secret,
            "payment_method": card,
            "return_url": "https://app.test",
        }
        headers = {"Authorization": f"Bearer {paying.publishable_key}"}
        async with httpx.AsyncClient(base_url=self.stripe.url, trust_env=False) as app:
            return await app.post(
                f"/v1/payment_intents/{paying.provider_ref}/confirm", data=form, headers=headers
            )

    async def mend_provider(self) -> None:
        """From here on no request meets a fault."""
        async with httpx.AsyncClient(trust_env=False) as client:
            (await client.delete(f"{self.stripe.url}/standin/faults")).raise_for_status()

    async def payment_ref(self, purchase: PurchaseInput) -> str:
        found = [each for each in await self.payments() if _purchase_of(each) == purchase.purchase_id]
        return found[0]["id"]

    async def payments(self) -> list[dict[str, Any]]:
        return (await self.stripe.control.get("ledger"))["payments"]

    async def events(self, purchase: PurchaseInput) -> list[ProviderEvent]:
        """What the provider reports about the payment, oldest first."""
        ref = await self.payment_ref(purchase)
        headers = {"Authorization": f"Bearer {self.stripe.secret_key}"}
        async with httpx.AsyncClient(base_url=self.stripe.url, trust_env=False) as http:
            listed = (await http.get("/v1/events", params={"limit": 100}, headers=headers)).json()["data"]
        about = [(each, each["data"]["object"]) for each in reversed(listed)]
        return [
            ProviderEvent(
                provider=Provider.STRIPE,
                event_id=event["id"],
                type=event["type"],
                occurred_at=datetime.fromtimestamp(event["created"], UTC),
                object_ref=ref,
                purchase_id=purchase.purchase_id if of["id"] == ref else None,
            )
            for event, of in about
            if ref in (of["id"], of.get("payment_intent"))
        ]

    async def deliver(self, purchase: PurchaseInput, event: ProviderEvent) -> bool:
        """As the webhook's route does. False: it was seen before."""
        async with self.house.rooms.database.transaction() as session:
            if not await inbox.receive(session, event, {}):
                return False
        await workflow.deliver_event(self.house.client, self.house.settings, purchase, event)
        async with self.house.rooms.database.transaction() as session:
            await inbox.mark(session, event.provider, event.event_id, "delivered")
        return True

    async def hear(self, purchase: PurchaseInput) -> None:
        """All that the provider has to report, in its order."""
        for event in await self.events(purchase):
            await self.deliver(purchase, event)

    async def nudge(self, purchase: PurchaseInput) -> None:
        """A hint that something has happened; what it was, the workflow looks up."""
        event = ProviderEvent(
            provider=purchase.provider,
            event_id=f"evt_{uuid4().hex}",
            type="charge.updated",
            occurred_at=datetime.now(UTC),
            object_ref="",
            purchase_id=purchase.purchase_id,
        )
        await workflow.deliver_event(self.house.client, self.house.settings, purchase, event)

    # ---- what rows and books say ------------------------------------------------------------------------

    async def status(self, purchase: PurchaseInput) -> PurchaseStatus:
        async with self.house.rooms.database.read() as session:
            return (await purchases.state(session, purchase.purchase_id)).status

    async def becomes(self, purchase: PurchaseInput, status: PurchaseStatus, *, seconds: float = 30) -> None:
        async def has() -> bool:
            return await self.status(purchase) is status

        await until(has, seconds=seconds)

    async def refunds(self, purchase: PurchaseInput) -> list[tuple[str, int, int]]:
        """Status, won and credits, oldest first."""
        query = "SELECT status, amount_krw, credits FROM refunds WHERE purchase_id = :id ORDER BY seq"
        return [
            (row.status, row.amount_krw, row.credits)
            for row in await self._rows(query, id=purchase.purchase_id)
        ]

    async def refunded(
        self, purchase: PurchaseInput, *expected: tuple[str, int, int], seconds: float = 30
    ) -> None:
        """Until its refunds are these."""

        async def are() -> bool:
            return await self.refunds(purchase) == list(expected)

        await until(are, seconds=seconds)

    async def transfers(self, purchase: PurchaseInput) -> list[tuple[str, int]]:
        query = "SELECT kind, amount FROM transfers WHERE purchase_id = :id ORDER BY seq"
        return [(row.kind, row.amount) for row in await self._rows(query, id=purchase.purchase_id)]

    async def balance(self, user_id: UserId) -> Balance:
        async with self.house.rooms.database.read() as session:
            return await ledger.balance(session, user_id)

    async def assert_agreed(self) -> None:
        """The books balance, and the provider tells the same story of every purchase: paid once or not at all,
        refunded what we say is refunded."""
        await self.house.assert_books_coherent()
        await self._assert_stripe_agrees()
        if self.portone is not None:
            await self._assert_portone_agrees(await self.portone.control.get("ledger"))

    async def _assert_portone_agrees(self, account: dict[str, Any]) -> None:
        """A payment's name there is the purchase's."""
        paid, refunded = Counter[str](), Counter[str]()
        for payment in account["payments"]:
            paid[payment["id"]] += payment["amount"]["total"] if "paidAt" in payment else 0
            for each in payment.get("cancellations", ()):
                refunded[payment["id"]] += each["totalAmount"] if each["status"] == "SUCCEEDED" else 0
        ours = await self._taken(Provider.PORTONE)
        assert {name: (paid[name], refunded[name]) for name in ours} == ours
        assert await self._cash(Provider.PORTONE) == account["balance"]

    async def _assert_stripe_agrees(self) -> None:
        paid, refunded = Counter[str](), Counter[str]()
        for payment in await self.payments():
            name = _purchase_of(payment)
            paid[name] += payment["amount_received"]
            refunded[name] += payment["refunded"]
        ours = await self._taken(Provider.STRIPE)
        assert {name: (paid[name], refunded[name]) for name in ours} == ours
        account = await self.stripe.control.get("ledger")
        pending = await self._rows(
            "SELECT coalesce(sum(r.amount_krw), 0)::bigint AS krw FROM refunds r"
            " JOIN purchases p ON p.id = r.purchase_id WHERE r.status = 'PENDING' AND p.provider = 'stripe'"
        )
        expected = account["paid_in"] - account["refunded"] - account["disputed"]
        assert await self._cash(Provider.STRIPE) - pending[0].krw == expected

    async def _taken(self, provider: Provider) -> dict[str, tuple[int, int]]:
        """Won paid and refunded, by purchase."""
        rows = await self._rows(
            "SELECT id, status, amount_krw, (SELECT coalesce(sum(r.amount_krw), 0)::bigint FROM refunds r"
            " WHERE r.purchase_id = p.id AND r.status IN ('PENDING', 'SUCCEEDED')) AS refunded FROM purchases p"
            " WHERE provider = :provider",
            provider=provider,
        )
        return {row.id: (row.amount_krw if row.status == "PAID" else 0, row.refunded) for row in rows}

    async def _cash(self, provider: Provider) -> int:
        rows = await self._rows(
            "SELECT coalesce(sum(p.amount), 0)::bigint AS krw FROM postings p JOIN accounts a ON a.id = p.account_id"
            " WHERE a.kind = 'cash' AND a.provider = :provider",
            provider=provider,
        )
        return rows[0].krw

    async def _rows(self, query: str, **values: Any) -> list[Row[Any]]:
        async with self.house.rooms.database.read() as session:
            return list((await session.execute(text(query), values)).all())


@asynccontextmanager
async def open_shop(
    settings: Settings, client: Client, stripe: StripeStandIn, portone: PortOneStandIn | None = None
) -> AsyncIterator[Shop]:
    """A house that sells by card, without any worker yet."""
    tills: dict[str, object] = {"stripe": stripe_settings(stripe)}
    if portone is not None:
        tills["portone"] = portone_settings(portone)
    async with open_house(settings.model_copy(update=tills), client) as house:
        yield Shop(house, stripe, portone)


def stripe_settings(stripe: StripeStandIn) -> StripeSettings:
    return StripeSettings(
        secret_key=SecretStr(stripe.secret_key),
        publishable_key=stripe.publishable_key,
        webhook_secret=SecretStr(stripe.webhook_secret),
        api_base=stripe.url,
    )


def portone_settings(portone: PortOneStandIn) -> PortOneSettings:
    return PortOneSettings(
        api_secret=SecretStr(portone.api_secret),
        store_id=portone.store_id,
        channel_key=portone.channel_key,
        webhook_secret=SecretStr(portone.webhook_secret),
        api_base=portone.url,
    )


def _purchase_of(payment: dict[str, Any]) -> PurchaseId:
    return PurchaseId(payment["metadata"].get("purchase_id", ""))
