"""What is known of the music in a video, and every version of its sections. The engine's come with the job that finds
them (db/products/music.py); from then on their owner makes new ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.errors import Code, EchoError
from contracts.ids import VideoId
from contracts.kinds.music import Analysis, Section
from contracts.kinds.sections import SectionEdit, alike, edited, in_songs
from db.tables_clips import MusicAnalysis, SectionAuthor, SectionList


@dataclass(frozen=True)
class Known:
    """One version of a video's sections, beside the analysis."""

    row: MusicAnalysis
    sections: SectionList
    versions: int
    """The greatest, which counts; the first is 1."""
    drawn: int
    """The version that the strip shows: the engine's latest."""

    @property
    def original(self) -> bool:
        """Whether the sections are as the engine found them."""
        return alike(self.sections.sections, self.row.analysis.summary.sections)


async def latest(session: AsyncSession, video_id: VideoId) -> tuple[Analysis, tuple[Section, ...]] | None:
    """The analysis and the sections that count; None for a video that was not analysed."""
    query = (
        select(MusicAnalysis.analysis, SectionList.sections)
        .join(SectionList, SectionList.video_id == MusicAnalysis.video_id)
        .where(MusicAnalysis.video_id == video_id)
        .order_by(SectionList.version.desc())
        .limit(1)
    )
    row = (await session.execute(query)).one_or_none()
    return None if row is None else (row.analysis, row.sections)


async def known(session: AsyncSession, video_id: VideoId, version: int | None = None) -> Known:
    """`version` None: the one that counts. Raises NOT_ANALYSED, and NOT_FOUND for a version that never was."""
    row = await session.get(MusicAnalysis, video_id)
    if row is None:
        raise EchoError(Code.NOT_ANALYSED, f"video {video_id}")
    return await _known(session, row, version)


async def edit_sections(
    session: AsyncSession, video_id: VideoId, wished: Sequence[SectionEdit], *, changed_from: int
) -> Known:
    """Write them as a new version. Raises NOT_ANALYSED, SECTIONS_INVALID, and PRECONDITION_FAILED when
    `changed_from` no longer is the version that counts."""
    before = await _locked(session, video_id, changed_from)
    return await _written(
        session, before, edited(wished, before.sections.sections, before.row.analysis.summary)
    )


async def restore_sections(
    session: AsyncSession, video_id: VideoId, version: int, *, changed_from: int
) -> Known:
    """Write an earlier version as the newest. Raises as `edit_sections` does, and NOT_FOUND for no such version."""
    before = await _locked(session, video_id, changed_from)
    again = (await _version(session, video_id, version)).sections
    return await _written(session, before, in_songs(again, before.row.analysis.summary))


async def _locked(session: AsyncSession, video_id: VideoId, changed_from: int) -> Known:
    """Until this transaction ends nobody else, and no new analysis, adds a version."""
    query = select(MusicAnalysis).where(MusicAnalysis.video_id == video_id)
    row = await session.scalar(query.with_for_update(key_share=True))
    if row is None:
        raise EchoError(Code.NOT_ANALYSED, f"video {video_id}")
    # Read after the lock, so of whoever held it before: a version that another request has just written shows here.
    before = await _known(session, row, None)
    if before.versions != changed_from:
        fields: dict[str, str | int] = {"version": before.versions}
        raise EchoError(Code.PRECONDITION_FAILED, f"sections of {video_id}, not {changed_from}", fields)
    return before


async def _written(session: AsyncSession, before: Known, sections: tuple[Section, ...]) -> Known:
    new = SectionList(
        video_id=before.row.video_id,
        version=before.versions + 1,
        author=SectionAuthor.USER,
        sections=sections,
    )
    session.add(new)
    await session.flush()
    return Known(before.row, new, versions=new.version, drawn=before.drawn)


async def _known(session: AsyncSession, row: MusicAnalysis, version: int | None) -> Known:
    by_engine = func.max(SectionList.version).filter(SectionList.author == SectionAuthor.ENGINE)
    greatest = select(func.max(SectionList.version), by_engine).where(SectionList.video_id == row.video_id)
    versions, drawn = (await session.execute(greatest)).one()
    return Known(row, await _version(session, row.video_id, version), versions=versions, drawn=drawn)


async def _version(session: AsyncSession, video_id: VideoId, version: int | None) -> SectionList:
    query = select(SectionList).where(SectionList.video_id == video_id)
    if version is not None:
        query = query.where(SectionList.version == version)
    found = await session.scalar(query.order_by(SectionList.version.desc()).limit(1))
    if found is None:
        raise EchoError(Code.NOT_FOUND, f"no version {version} of the sections of {video_id}")
    return found
