"""A merchant at the Stripe stand-in, what its customers do there, and what the stand-in has of them."""

from __future__ import annotations

from typing import Any

import httpx
from pydantic import SecretStr

from contracts.payments import PaymentOrder, PaymentState
from contracts.settings import StripeSettings
from dev.servers.standins import StripeStandIn
from providers.payments.breaker import Breaker
from providers.payments.stripe import StripePayments
from tests.providers.paying import an_order


def opened(standin: StripeStandIn, breaker: Breaker | None = None) -> StripePayments:
    return StripePayments(
        StripeSettings(
            secret_key=SecretStr(standin.secret_key),
            publishable_key=standin.publishable_key,
            api_base=standin.url,
        ),
        breaker=breaker,
    )


async def paid(stripe: StripePayments, card: str = "pm_card_visa") -> tuple[PaymentOrder, PaymentState]:
    order = an_order(payment_method=card)
    state, _ = await stripe.create(order)
    assert state.status == "succeeded"
    return order, state


async def payments_of(standin: StripeStandIn, order: PaymentOrder) -> list[Any]:
    ledger = await standin.control.get("ledger")
    return [
        payment
        for payment in ledger["payments"]
        if payment["metadata"].get("purchase_id") == order.purchase_id
    ]


async def confirmed_in_app(standin: StripeStandIn, state: PaymentState, number: str) -> None:
    """What the PaymentSheet does with the client secret."""
    async with httpx.AsyncClient(base_url=standin.url, trust_env=False) as app:
        await app.post(
            f"/v1/payment_intents/{state.provider_ref}/confirm",
            headers={"Authorization": f"Bearer {standin.publishable_key}"},
            data={
                "client_secret": state.client_secret,
                "payment_method_data[type]": "card",
                "payment_method_data[card][number]": number,
                "payment_method_data[card][exp_month]": "12",
                "payment_method_data[card][exp_year]": "2034",
                "payment_method_data[card][cvc]": "123",
                "return_url": "echoshot://paid",
            },
        )
