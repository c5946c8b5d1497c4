"""The Stripe adapter, patient and hasty, against the strict stand-in."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio

from contracts.payments import Provider
from dev.servers.standins import StripeStandIn
from providers.payments.breaker import Breaker
from providers.payments.stripe import StripePayments
from tests.providers.paying import CLOCK, LIMIT_S
from tests.providers.stripe_account import opened


@pytest_asyncio.fixture
async def stripe(stripe_standin: StripeStandIn) -> AsyncIterator[StripePayments]:
    payments = opened(stripe_standin)
    yield payments
    await payments.aclose()


@pytest_asyncio.fixture
async def hasty(stripe_standin: StripeStandIn) -> AsyncIterator[StripePayments]:
    """Waits for an answer for a second only."""
    payments = opened(stripe_standin, Breaker(Provider.STRIPE, limit_s=LIMIT_S, clock=CLOCK))
    yield payments
    await payments.aclose()
