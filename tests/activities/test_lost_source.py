"""A checked source whose file is gone: its job ends, and nobody is sent to it again."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest

from contracts.errors import Code, EchoError
from db import videos
from tests.activities.test_media_steps import ingest, upload
from tests.workflows.house import House


async def test_a_source_that_is_gone_is_not_offered_as_a_duplicate_any_more(
    house: House, clip: Callable[[str], Path]
) -> None:
    up = await upload(house, clip("plain"))
    sha256 = (await ingest(house, up.job)).source.sha256
    await asyncio.to_thread(house.rooms.store.delete, up.key)

    with pytest.raises(EchoError) as raised:
        await ingest(house, up.job)
    assert raised.value.code is Code.SOURCE_MISSING
    async with house.rooms.database.transaction() as session:
        assert await videos.find_duplicate(session, up.job.user_id, sha256) is None
