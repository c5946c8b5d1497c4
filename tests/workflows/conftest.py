from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio
from temporalio.client import Client

from contracts.settings import Settings
from dev.servers.standins import StripeStandIn
from tests.workflows.house import House, open_house, workers
from tests.workflows.shop import Shop, open_shop


@pytest_asyncio.fixture
async def closed_house(platform_settings: Settings, temporal_client: Client) -> AsyncIterator[House]:
    """The platform before any worker has come to work."""
    async with open_house(platform_settings, temporal_client) as house:
        yield house


@pytest_asyncio.fixture
async def house(closed_house: House) -> AsyncIterator[House]:
    """The platform with all its workers."""
    async with workers(closed_house):
        yield closed_house


@pytest_asyncio.fixture
async def closed_shop(
    platform_settings: Settings, temporal_client: Client, stripe_standin: StripeStandIn
) -> AsyncIterator[Shop]:
    """The platform with a payment provider, before any worker has come to work."""
    async with open_shop(platform_settings, temporal_client, stripe_standin) as shop:
        yield shop


@pytest_asyncio.fixture
async def shop(closed_shop: Shop) -> AsyncIterator[Shop]:
    """The platform with a payment provider and all its workers."""
    async with workers(closed_shop.house):
        yield closed_shop
