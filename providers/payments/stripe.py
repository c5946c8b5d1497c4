"""Stripe: PaymentIntents by the official library (docs/adr/024).

Won have no minor unit at Stripe, so amounts are passed as they are. Every POST carries a key of our own, derived
from the id of the row that wants it, so an attempt whose answer was lost is repeated under its own key; and every
attempt first looks for what an earlier one has done, because keys are forgotten after 24 hours and a key that
once met an error of Stripe's answers that error until then. Only the first try of a young purchase leaves that to its
key (docs/adr/028). The library neither retries nor invents keys here.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from datetime import datetime
from typing import Any, TypeVar

import stripe
from stripe.params import (
    BalanceTransactionListParams,
    CustomerSessionCreateParams,
    DisputeListParams,
    PaymentIntentCreateParams,
    PayoutListParams,
    RefundCreateParams,
    RefundListParams,
)

from contracts.errors import EchoError
from contracts.ids import PurchaseId
from contracts.payments import (
    BalanceEntry,
    Checkout,
    DisputeState,
    PaymentOrder,
    PaymentState,
    Payout,
    Provider,
    RefundOrder,
    RefundReason,
    RefundState,
)
from contracts.settings import StripeSettings
from providers.payments import stripe_objects as objects
from providers.payments.breaker import Breaker
from providers.payments.stripe_requests import StripeRequests

T = TypeVar("T")
A = TypeVar("A")
B = TypeVar("B")

PAGE = 100
"""Objects a page, the most that Stripe gives."""
KEY_S = 60
"""How long a passing key lives."""

REASONS = {
    RefundReason.DUPLICATE: "duplicate",
    RefundReason.FRAUDULENT: "fraudulent",
    RefundReason.REQUESTED_BY_CUSTOMER: "requested_by_customer",
}
"""The three that Stripe knows; ours is in the metadata anyway."""


class StripePayments:
    def __init__(
        self,
        settings: StripeSettings,
        *,
        breaker: Breaker | None = None,
        now: Callable[[], float] = time.time,
    ) -> None:
        self._publishable_key = settings.publishable_key
        self._stripe = StripeRequests(settings, breaker or Breaker(Provider.STRIPE))
        self._now = now

    async def aclose(self) -> None:
        await self._stripe.aclose()

    # A payment

    async def create(self, order: PaymentOrder) -> tuple[PaymentState, Checkout]:
        found, customer = await _both(
            _known(None) if order.first_try else self._find(order), self._customer(order)
        )
        if found is not None:
            customer = objects.reference(found.customer) or customer
        in_app = order.payment_method is None and (found is None or objects.state(found).status == "open")
        intent, session = await _both(
            self._intent(order, customer) if found is None else _known(found),
            self._customer_session(order, customer) if in_app else _known(None),
        )
        state = objects.state(intent)
        return state, Checkout(
            provider=Provider.STRIPE,
            provider_ref=state.provider_ref,
            publishable_key=self._publishable_key,
            client_secret=state.client_secret,
            customer_ref=customer,
            customer_session_client_secret=session,
        )

    async def lookup(self, purchase_id: PurchaseId, provider_ref: str | None) -> PaymentState | None:
        if provider_ref is None:
            found = await self._search(purchase_id)
            return None if found is None else objects.state(found)
        try:
            return objects.state(await self._retrieve(provider_ref))
        except EchoError as error:
            if error.fields.get("reason") == "resource_missing":
                return None
            raise

    async def cancel(self, purchase_id: PurchaseId, provider_ref: str) -> PaymentState:
        intent = await self._retrieve(provider_ref)
        if intent.status in ("processing", "succeeded", "canceled"):
            return objects.state(intent)  # asking would only save a refusal under the key
        key = self._passing_key(f"purchase/{purchase_id}/cancel")
        try:
            await self._stripe.ask(
                lambda: self._stripe.v1.payment_intents.cancel_async(
                    provider_ref, options={"idempotency_key": key}
                )
            )
        except EchoError as error:
            if error.fields.get("reason") != "payment_intent_unexpected_state":
                raise
        # Paid or sent to the bank between the two requests: then that is the answer.
        return objects.state(await self._retrieve(provider_ref))

    async def _find(self, order: PaymentOrder) -> stripe.PaymentIntent | None:
        """By both ways: a list knows of an intent at once, the search also under another customer of the user."""
        newest, searched = await _both(self._newest(order), self._search(order.purchase_id))
        return objects.of_purchase(newest, order.purchase_id) or searched

    async def _newest(self, order: PaymentOrder) -> list[stripe.PaymentIntent]:
        customer = order.customer_ref
        if customer is None:
            return []
        page = await self._stripe.ask(
            lambda: self._stripe.v1.payment_intents.list_async(
                {"customer": customer, "limit": PAGE, "expand": ["data.latest_charge"]}
            )
        )
        return page.data

    async def _search(self, purchase_id: PurchaseId) -> stripe.PaymentIntent | None:
        """Knows of an intent after a minute or so; until then the idempotency key stands for it."""
        page = await self._stripe.ask(
            lambda: self._stripe.v1.payment_intents.search_async(
                {"query": f"metadata['purchase_id']:'{purchase_id}'"}
            )
        )
        found = objects.of_purchase(page.data, purchase_id)
        # What the index says of its state may be as old as the index.
        return None if found is None else await self._retrieve(found.id)

    async def _retrieve(self, provider_ref: str) -> stripe.PaymentIntent:
        return await self._stripe.ask(
            lambda: self._stripe.v1.payment_intents.retrieve_async(
                provider_ref, {"expand": ["latest_charge"]}
            )
        )

    async def _customer(self, order: PaymentOrder) -> str:
        if order.customer_ref is not None:
            return order.customer_ref
        customer = await self._stripe.ask(
            lambda: self._stripe.v1.customers.create_async(
                {"metadata": {"user_id": order.user_id}},
                options={"idempotency_key": f"user/{order.user_id}/customer"},
            )
        )
        return customer.id

    async def _intent(self, order: PaymentOrder, customer: str) -> stripe.PaymentIntent:
        params: PaymentIntentCreateParams = {
            "amount": order.amount_krw,
            "currency": "krw",
            "customer": customer,
            "description": order.description,
            "metadata": {"purchase_id": order.purchase_id},
            "automatic_payment_methods": {"enabled": True},
            "expand": ["latest_charge"],
        }
        if order.payment_method is not None:
            # The customer has just asked for the job in the app, so the bank may ask for authentication there;
            # redirects would need an address of the app.
            params["payment_method"] = order.payment_method
            params["confirm"] = True
            params["automatic_payment_methods"] = {"enabled": True, "allow_redirects": "never"}
            params["metadata"] = {"purchase_id": order.purchase_id, objects.SAVED_METHOD: "true"}

        async def send() -> stripe.PaymentIntent:
            try:
                return await self._stripe.v1.payment_intents.create_async(
                    params, options={"idempotency_key": f"purchase/{order.purchase_id}/intent"}
                )
            except stripe.CardError as declined:
                if declined.error is None or declined.error.payment_intent is None:
                    raise
                return declined.error.payment_intent

        return await self._stripe.ask(send)

    async def _customer_session(self, order: PaymentOrder, customer: str) -> str:
        """Lets the PaymentSheet show and save the customer's cards; Stripe ends it after 30 minutes."""
        params: CustomerSessionCreateParams = {
            "customer": customer,
            "components": {
                "mobile_payment_element": {
                    "enabled": True,
                    "features": {
                        "payment_method_save": "enabled",
                        "payment_method_redisplay": "enabled",
                        "payment_method_remove": "enabled",
                    },
                }
            },
        }
        key = self._passing_key(f"purchase/{order.purchase_id}/session")
        session = await self._stripe.ask(
            lambda: self._stripe.v1.customer_sessions.create_async(params, options={"idempotency_key": key})
        )
        return session.client_secret

    def _passing_key(self, step: str) -> str:
        """For requests that are harmless when done twice: an error saved under the key, or an ended session, is
        left behind after a minute instead of a day."""
        return f"{step}/{int(self._now()) // KEY_S}"

    # Refunds and disputes

    async def refund(self, order: RefundOrder) -> RefundState:
        for known in await self.refunds(order.provider_ref):
            if known.refund_id == order.refund_id:
                return known
        params: RefundCreateParams = {
            "payment_intent": order.provider_ref,
            "amount": order.amount_krw,
            "metadata": {
                "refund_id": order.refund_id,
                "purchase_id": order.purchase_id,
                "reason": order.reason,
            },
        }
        if order.reason in REASONS:
            params["reason"] = REASONS[order.reason]
        refund = await self._stripe.ask(
            lambda: self._stripe.v1.refunds.create_async(
                params, options={"idempotency_key": f"refund/{order.refund_id}"}
            )
        )
        return objects.refund(refund)

    async def refunds(self, provider_ref: str) -> list[RefundState]:
        params: RefundListParams = {"payment_intent": provider_ref, "limit": PAGE}
        listed = self._stripe.pages(lambda: self._stripe.v1.refunds.list_async(params))
        return [objects.refund(refund) async for refund in listed][::-1]

    async def disputes(self, provider_ref: str) -> list[DisputeState]:
        params: DisputeListParams = {"payment_intent": provider_ref, "limit": PAGE}
        listed = self._stripe.pages(lambda: self._stripe.v1.disputes.list_async(params))
        states = [objects.dispute(dispute) async for dispute in listed]
        return [state for state in states if state is not None][::-1]

    # For reconciliation

    async def entries(self, from_: datetime, to: datetime) -> AsyncIterator[BalanceEntry]:
        params: BalanceTransactionListParams = {
            "created": _created(from_, to),
            "limit": PAGE,
            "expand": ["data.source"],
        }
        async for transaction in self._stripe.pages(
            lambda: self._stripe.v1.balance_transactions.list_async(params)
        ):
            yield objects.entry(transaction)

    async def payouts(self, from_: datetime, to: datetime) -> AsyncIterator[Payout]:
        params: PayoutListParams = {"created": _created(from_, to), "limit": PAGE}
        async for payout in self._stripe.pages(lambda: self._stripe.v1.payouts.list_async(params)):
            yield objects.payout(payout)

    async def payout_entries(self, payout_ref: str) -> AsyncIterator[BalanceEntry]:
        params: BalanceTransactionListParams = {
            "payout": payout_ref,
            "limit": PAGE,
            "expand": ["data.source"],
        }
        async for transaction in self._stripe.pages(
            lambda: self._stripe.v1.balance_transactions.list_async(params)
        ):
            yield objects.entry(transaction).model_copy(update={"payout_ref": payout_ref})


def _created(from_: datetime, to: datetime) -> Any:
    return {"gte": int(from_.timestamp()), "lt": int(to.timestamp())}


async def _known(value: T) -> T:
    return value


async def _both(first: Coroutine[Any, Any, A], second: Coroutine[Any, Any, B]) -> tuple[A, B]:
    """At the same time. A failure waits for the other one, so that nothing goes on unseen."""
    answers = await asyncio.gather(first, second, return_exceptions=True)
    for answer in answers:
        if isinstance(answer, BaseException):
            raise answer
    return answers  # pyright: ignore[reportReturnType]
