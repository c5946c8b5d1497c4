from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio
from temporalio.client import Client

from contracts.settings import Settings
from tests.workflows.house import House, open_house, workers


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
