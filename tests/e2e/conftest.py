"""One running platform for all stories that leave its processes alone; fault stories bring their own."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from dev.platform import Platform, running_platform

IMPATIENT = {
    "ECHOSHOT_SWEEP_INTERVAL_S": "2",
    "ECHOSHOT_SWEEP_GRACE_S": "1",
    "ECHOSHOT_LIMITS__DURATION_S_MAX": "600",
}


@pytest_asyncio.fixture(scope="session")
async def platform(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Platform]:
    async with running_platform(tmp_path_factory.mktemp("platform"), IMPATIENT, durable=False) as platform:
        yield platform
