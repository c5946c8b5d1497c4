"""The Stripe stand-in is as strict as Stripe: what the official library sends works, what Stripe refuses is refused."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest
import pytest_asyncio
import stripe

from dev.servers.standins import StripeStandIn
from dev.standins.stripe.account import API_VERSION

# The library hands httpx its form bytes as `data`.
pytestmark = pytest.mark.filterwarnings("ignore:Use 'content=:DeprecationWarning")

ON_SITE: Any = {"enabled": True, "allow_redirects": "never"}


@asynccontextmanager
async def client_of(standin: StripeStandIn, *, retries: int = 0) -> AsyncIterator[stripe.StripeClient]:
    http = stripe.HTTPXClient(timeout=5)
    yield stripe.StripeClient(
        standin.secret_key,
        base_addresses={"api": standin.url},
        http_client=http,
        max_network_retries=retries,
    )
    await http.close_async()


@pytest_asyncio.fixture
async def client(stripe_standin: StripeStandIn) -> AsyncIterator[stripe.StripeClient]:
    async with client_of(stripe_standin) as opened:
        yield opened


async def paid(client: stripe.StripeClient, amount: int = 10_000, **more: Any) -> stripe.PaymentIntent:
    params: Any = {
        "amount": amount,
        "currency": "krw",
        "payment_method": "pm_card_visa",
        "confirm": True,
        "automatic_payment_methods": ON_SITE,
        **more,
    }
    return await client.v1.payment_intents.create_async(params)


async def raw(standin: StripeStandIn, method: str, path: str, **more: Any) -> httpx.Response:
    headers = {"Authorization": f"Bearer {standin.secret_key}", **more.pop("headers", {})}
    async with httpx.AsyncClient(base_url=standin.url, trust_env=False, timeout=5) as http:
        return await http.request(method, path, headers=headers, **more)


async def test_the_version_is_that_of_the_pinned_library(client: stripe.StripeClient) -> None:
    assert stripe.api_version == API_VERSION


async def test_a_card_payment_succeeds_and_its_fee_is_in_the_balance(client: stripe.StripeClient) -> None:
    intent = await paid(
        client, metadata={"purchase_id": "pur_1"}, expand=["latest_charge.balance_transaction"]
    )
    assert (intent.status, intent.amount_received) == ("succeeded", 10_000)
    assert intent.metadata["purchase_id"] == "pur_1"
    charge: Any = intent.latest_charge
    assert charge.metadata["purchase_id"] == "pur_1"
    assert (charge.balance_transaction.fee, charge.balance_transaction.net) == (590, 9_410)
