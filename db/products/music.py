"""`music`: the analysis of a video, and the first version of its sections."""

from __future__ import annotations

from typing import Any

from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.ids import JobId, VideoId
from contracts.kinds.music import Analysis
from db.products.base import Product
from db.tables import Job
from db.tables_clips import MusicAnalysis, SectionAuthor, SectionList


async def record_analysis(
    session: AsyncSession, job_id: JobId, video_id: VideoId, analysis: Analysis, *, anew: bool
) -> None:
    """The video's analysis from now on, its sections as a new version. Unless `anew`, one that is there stays."""
    row = insert(MusicAnalysis).values(video_id=video_id, job_id=job_id, analysis=analysis)
    if anew:
        values = {"job_id": job_id, "analysis": analysis, "created_at": func.now()}
        row = row.on_conflict_do_update(index_elements=[MusicAnalysis.video_id], set_=values)
    else:
        row = row.on_conflict_do_nothing()
    written = await session.execute(row.returning(MusicAnalysis.video_id))
    if written.first() is None:
        return
    # The row above is locked until this transaction ends, and with it the numbering of versions.
    latest = select(func.coalesce(func.max(SectionList.version), 0)).where(SectionList.video_id == video_id)
    session.add(
        SectionList(
            video_id=video_id,
            version=(await session.execute(latest)).scalar_one() + 1,
            author=SectionAuthor.ENGINE,
            sections=analysis.summary.sections,
        )
    )
    await session.flush()


async def _published(session: AsyncSession, job: Job, product: dict[str, Any]) -> None:
    await record_analysis(session, job.id, job.video_id, Analysis.model_validate(product), anew=True)


MUSIC = Product(published=_published, kept_with_source=True)
