from __future__ import annotations

from collections.abc import AsyncIterator

import pytest_asyncio
from temporalio.client import Client

from contracts.settings import Settings
from tests.workflows.house import House, open_house


@pytest_asyncio.fixture
async def house(platform_settings: Settings, temporal_client: Client) -> AsyncIterator[House]:
    """The rooms of a platform whose workers each test starts itself."""
    async with open_house(platform_settings, temporal_client) as house:
        yield house
