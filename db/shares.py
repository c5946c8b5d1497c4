"""Links by which everybody who has one sees a clip: for a while, until they are withdrawn, or the clip is deleted."""

from __future__ import annotations

import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta

from sqlalchemy import and_, func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.ids import ClipId, ShareId
from contracts.text import is_storable
from db.ids import new_id
from db.tables import Job
from db.tables_clips import Clip, ClipShare, ClipState

TOKEN_BYTES = 24
"""Of chance: nobody finds a link by trying."""


async def create(session: AsyncSession, clip: Clip, lifetime: timedelta) -> ClipShare:
    """Of a clip that is ready; no link outlives its clip."""
    share = ClipShare(
        id=ShareId(new_id("shr")),
        clip_id=clip.id,
        token=secrets.token_urlsafe(TOKEN_BYTES),
        expires_at=func.least(func.now() + lifetime, clip.expires_at),
        views=0,
    )
    session.add(share)
    await session.flush()
    await session.refresh(share)
    return share


async def list_shares(session: AsyncSession, clip_id: ClipId) -> Sequence[ClipShare]:
    """All that were ever made for a clip, newest first."""
    query = select(ClipShare).where(ClipShare.clip_id == clip_id).order_by(ClipShare.id.desc())
    return (await session.scalars(query)).all()


async def revoke(session: AsyncSession, clip_id: ClipId, share_id: ShareId) -> bool:
    """May be repeated. False: the clip has no such link."""
    found = (ClipShare.id == share_id, ClipShare.clip_id == clip_id)
    revoked = (
        update(ClipShare).where(*found).values(revoked_at=func.coalesce(ClipShare.revoked_at, func.now()))
    )
    return (await session.execute(revoked.returning(ClipShare.id))).first() is not None


@dataclass(frozen=True)
class Shared:
    """What a link leads to."""

    id: ShareId
    clip: Clip
    filename: str
    """Of the clip's source."""
    valid: bool
    """Neither expired nor withdrawn, and the clip is there."""


async def find(session: AsyncSession, token: str) -> Shared | None:
    """None for what was never a token, whatever somebody has typed."""
    if not is_storable(token):
        return None
    valid = and_(
        ClipShare.revoked_at.is_(None), ClipShare.expires_at > func.now(), Clip.state == ClipState.READY
    )
    query = (
        select(ClipShare.id, Clip, Job.filename, valid)
        .join(Clip, Clip.id == ClipShare.clip_id)
        .join(Job, Job.id == Clip.job_id)
        .where(ClipShare.token == token)
    )
    row = (await session.execute(query)).one_or_none()
    return None if row is None else Shared(*row)


async def count_view(session: AsyncSession, share_id: ShareId) -> None:
    await session.execute(update(ClipShare).where(ClipShare.id == share_id).values(views=ClipShare.views + 1))
