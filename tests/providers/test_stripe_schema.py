"""Every request that the Stripe adapter sends is one that Stripe's own schema allows, as stripe-mock reads it."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest
from pydantic import SecretStr

from contracts.payments import RefundReason
from contracts.settings import StripeSettings
from dev.servers.standins import StripeStandIn
from dev.servers.stripe_mock import SECRET_KEY, StripeMock
from providers.payments.stripe import StripePayments
from providers.payments.stripe_requests import API_VERSION
from tests.providers.paying import a_refund, an_order

OPERATIONS = {
    "GET /v1/payment_intents/search",
    "GET /v1/payment_intents",
    "GET /v1/payment_intents/*",
    "POST /v1/customers",
    "POST /v1/customer_sessions",
    "POST /v1/payment_intents",
    "POST /v1/payment_intents/*/cancel",
    "POST /v1/refunds",
    "GET /v1/refunds",
    "GET /v1/disputes",
    "GET /v1/balance_transactions",
    "GET /v1/payouts",
}
"""All that the adapter can send."""


async def everything(stripe: StripePayments, standin: StripeStandIn) -> None:
    """Each method in each of its shapes, and one turned page."""
    open_state, _ = await stripe.create(an_order())
    known = an_order(payment_method="pm_card_visa", customer_ref=open_state.customer_ref)
    state, _ = await stripe.create(known)
    await stripe.lookup(known.purchase_id, state.provider_ref)
    order = an_order()
    to_cancel, _ = await stripe.create(order)
    await stripe.cancel(order.purchase_id, to_cancel.provider_ref)
    for number, reason in enumerate(RefundReason):
        refund = a_refund(known.purchase_id, state.provider_ref, 100, key=str(number))
        await stripe.refund(refund.model_copy(update={"reason": reason}))
    for _ in range(90):
        await standin.control.post("refund", payment_intent=state.provider_ref, amount=50)
    await stripe.refunds(state.provider_ref)
    await stripe.disputes(state.provider_ref)
    now = datetime.now(UTC)
    async for _ in stripe.entries(now - timedelta(days=1), now):
        pass
    async for _ in stripe.payouts(now - timedelta(days=1), now):
        pass


def form(value: Any, name: str = "") -> list[tuple[str, str]]:
    """Nested parameters as Stripe's forms write them: `a[b][0]=c`."""
    if isinstance(value, dict):
        return [pair for key, part in value.items() for pair in form(part, f"{name}[{key}]" if name else key)]
    if isinstance(value, list):
        return [pair for index, part in enumerate(value) for pair in form(part, f"{name}[{index}]")]
    return [(name, str(value).lower() if isinstance(value, bool) else str(value))]


def operation(request: dict[str, Any]) -> str:
    return f"{request['method']} {re.sub(r'/(pi|re|cus)_[0-9a-f]+', '/*', request['path'])}"


@pytest.mark.slow
async def test_stripes_schema_allows_every_request(
    stripe_standin: StripeStandIn, stripe_mock: StripeMock
) -> None:
    stripe = StripePayments(
        StripeSettings(secret_key=SecretStr(stripe_standin.secret_key), api_base=stripe_standin.url)
    )
    await everything(stripe, stripe_standin)
    await stripe.aclose()
    requests = await stripe_standin.control.get("requests")
    assert {operation(request) for request in requests} == OPERATIONS
    headers = {"Authorization": f"Bearer {SECRET_KEY}", "Stripe-Version": API_VERSION}
    async with httpx.AsyncClient(base_url=stripe_mock.url, headers=headers, trust_env=False) as mock:
        for request in requests:
            encoded = urlencode(form(request["params"]))
            if request["method"] == "GET":
                answer = await mock.get(f"{request['path']}?{encoded}")
            else:
                answer = await mock.post(
                    request["path"],
                    content=encoded,
                    headers={"Content-Type": "application/x-www-form-urlencoded"},
                )
            assert answer.status_code == 200, (operation(request), request["params"], answer.text)
