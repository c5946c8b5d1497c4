from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest
import pytest_asyncio
from temporalio.client import Client

from activities.rooms import open_rooms
from contracts.settings import Settings
from dev.clips import BAD, GOOD, SOUNDS
from tests.workflows.house import House
from tests.workflows.stand_ins import StandIns
from workflows.client import starter


@pytest_asyncio.fixture
async def house(platform_settings: Settings, temporal_client: Client) -> AsyncIterator[House]:
    """The rooms as a transfer or GPU worker opens them, with one engine; activities are called directly."""
    start = starter(temporal_client, platform_settings)
    async with open_rooms(platform_settings, temporal_client, starter=start, engines=1) as rooms:
        yield House(platform_settings, temporal_client, rooms, StandIns(rooms.database))


@pytest.fixture(scope="session")
def clip(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    made: dict[str, Path] = {}

    def make(name: str) -> Path:
        if name not in made:
            made[name] = (GOOD | SOUNDS | BAD)[name](tmp_path_factory.mktemp(name))
        return made[name]

    return make
