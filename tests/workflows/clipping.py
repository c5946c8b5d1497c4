"""Jobs of kind `clip`, and what their owner finds afterwards."""

from __future__ import annotations

from sqlalchemy import select

from contracts.kinds import CLIP
from contracts.kinds.clip import ClipParams, ClipSpec
from contracts.pricing import Quote
from contracts.video_job import JobInput
from db.tables_clips import Clip
from tests.workflows.house import House

PRICE = 3
"""Credits for each clip."""
VERSE = ClipSpec(start=1.0, end=3.0)
"""A range of the user's own."""
CHORUS = ClipSpec(length=15)
"""A highlight, for which the music must be heard."""


async def open_clips(house: House, *wishes: ClipSpec, credits: int = 100, uploaded: bool = True) -> JobInput:
    params = ClipParams(clips=wishes)
    quote = CLIP.quote(params, None, "assumed")
    return await house.open_job(kind="clip", params=params, quote=quote, credits=credits, uploaded=uploaded)


async def open_free(house: House, before: JobInput) -> JobInput:
    """The only clip of an earlier job, of another range, for nothing."""
    (clip,) = await clips_of(house, before)
    params = ClipParams(clips=(ClipSpec(start=4.0, end=6.0),), regenerates=clip.id)
    free = Quote(credits=0, pieces=1, credits_per_piece=0, basis="measured")
    return await house.open_job(kind="clip", params=params, quote=free, again=before)


async def clips_of(house: House, job: JobInput) -> list[Clip]:
    """In the order of their wishes."""
    query = select(Clip).where(Clip.job_id == job.job_id).order_by(Clip.position)
    async with house.rooms.database.read() as session:
        return list(await session.scalars(query))


async def told(house: House, job: JobInput) -> list[tuple[str, str | None]]:
    """State and reason of each clip."""
    return [(clip.state.value, clip.failure_code) for clip in await clips_of(house, job)]


async def assert_nothing_moved(house: House, job: JobInput) -> None:
    assert await house.transfers(job) == []
    assert all(effect.credit_effect == "none" for effect in await house.events(job))
    await house.assert_books_coherent()
