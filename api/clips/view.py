"""From rows to the clip that its owner sees."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy.ext.asyncio import AsyncSession

from api.clips import schemas
from api.jobs.schemas import Failure
from api.links import Links
from contracts.errors import sentence
from contracts.ledger import CreditEffect
from db import clips
from db.clips import Standing
from db.tables_clips import Clip, ClipState

EFFECTS = {
    ClipState.PENDING: CreditEffect.HELD,
    ClipState.READY: CreditEffect.CAPTURED,
    ClipState.FAILED: CreditEffect.RELEASED,
}
"""On the credits of a clip, once they are held."""


async def clip_view(session: AsyncSession, clip: Clip, links: Links, locale: str) -> schemas.Clip:
    return (await clip_views(session, [clip], links, locale))[0]


async def clip_views(
    session: AsyncSession, rows: Sequence[Clip], links: Links, locale: str
) -> tuple[schemas.Clip, ...]:
    known = await clips.standings(session, rows)
    return tuple(_view(clip, known[clip.id], links, locale) for clip in rows)


def _view(clip: Clip, standing: Standing, links: Links, locale: str) -> schemas.Clip:
    assert clip.state is not ClipState.DELETED, "nobody sees those"
    made, wish = clip.made, clip.spec
    start, end = (wish.start, wish.end) if made is None else (made.start_s, made.end_s)
    paid = clip.credits > 0 and standing.held
    failure = None
    if clip.failure_code:
        message = sentence(clip.failure_code, locale)
        failure = Failure(code=clip.failure_code, message=message)
    return schemas.Clip(
        id=clip.id,
        video_id=clip.video_id,
        job_id=clip.job_id,
        state=clip.state.value,
        credit_effect=EFFECTS[clip.state] if paid else CreditEffect.NONE,
        credits=clip.credits,
        wish=wish,
        type=clip.type,
        length=wish.length,
        format=clip.format,
        start=start,
        end=end,
        duration=None if start is None or end is None else round(end - start, 3),
        width=made and made.width,
        height=made and made.height,
        bytes=made and made.video.bytes,
        sha256=made and made.video.sha256,
        copied=made and made.copied,
        failure=failure,
        regenerated_from=clip.regenerated_from,
        free_regeneration_until=standing.free_until,
        created_at=clip.created_at,
        ready_at=clip.ready_at,
        expires_at=clip.expires_at,
        clip_url=links.clip(clip.id),
        job_url=links.job(clip.job_id),
        download_url=links.clip(clip.id, "download"),
        preview_url=links.clip(clip.id, "preview"),
        poster_url=links.clip(clip.id, "preview?poster=true"),
        regenerate_url=links.clip(clip.id, "regenerate"),
        share_url=links.clip(clip.id, "share"),
        shares_url=links.clip(clip.id, "shares"),
    )
