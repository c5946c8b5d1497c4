"""What a job costs is settled by the quote that its owner has seen and the length that we measure."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from sqlalchemy import text

from contracts.kinds import ENHANCE
from tests.activities.test_media_steps import ingest, upload
from tests.workflows.house import House


async def test_new_prices_leave_a_job_alone_that_was_quoted_before(
    house: House, clip: Callable[[str], Path]
) -> None:
    up = await upload(house, clip("plain"))
    old_rate = ENHANCE.price.credits - 3
    async with house.rooms.database.transaction() as session:
        await session.execute(
            text("UPDATE jobs SET quote = quote || jsonb_build_object('credits_per_minute', :rate ::int)"),
            {"rate": old_rate},
        )
    assert (await ingest(house, up.job)).credits == old_rate
