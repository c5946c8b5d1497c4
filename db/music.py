"""What is known of the music in a video, and its sections as their owner has edited them."""

from __future__ import annotations

from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.ids import VideoId
from contracts.kinds.music import Analysis, Section
from db.tables_clips import MusicAnalysis, SectionList


async def latest(session: AsyncSession, video_id: VideoId) -> tuple[Analysis, tuple[Section, ...]] | None:
    """The analysis and the newest version of the sections; None for a video that was not analysed."""
    query = (
        select(MusicAnalysis.analysis, SectionList.sections)
        .join(SectionList, SectionList.video_id == MusicAnalysis.video_id)
        .where(MusicAnalysis.video_id == video_id)
        .order_by(SectionList.version.desc())
        .limit(1)
    )
    row = (await session.execute(query)).one_or_none()
    return None if row is None else (row.analysis, row.sections)
