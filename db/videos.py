"""Videos: uploaded sources and results. A result is written by db/settlement.py, with the capture that pays for it."""

from __future__ import annotations

from datetime import timedelta

from sqlalchemy import func, select, update
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.ids import JobId, UserId, VideoId
from contracts.media import Artifact, MediaInfo
from contracts.video_job import PipelineResult
from db import pages
from db.ids import new_id
from db.pages import Page, Rows
from db.tables import Job, Result, Video, VideoRole, VideoState


async def create_source(
    session: AsyncSession,
    *,
    user_id: UserId,
    filename: str,
    content_type: str,
    bytes_: int,
    sha256: str | None,
    object_key: str,
    duration_ms: int | None,
    video_id: VideoId | None = None,
) -> Video:
    """A source that is about to be uploaded to `object_key`. Give `video_id` when the key contains it."""
    video = Video(
        id=video_id or VideoId(new_id("vid")),
        user_id=user_id,
        role=VideoRole.SOURCE,
        state=VideoState.PENDING,
        object_key=object_key,
        filename=filename,
        content_type=content_type,
        bytes=bytes_,
        sha256=sha256,
        duration_ms=duration_ms,
    )
    session.add(video)
    await session.flush()
    return video


async def get_video(
    session: AsyncSession, user_id: UserId, video_id: VideoId, *, keep: bool = False
) -> Video | None:
    """None also for another user's video. With `keep` nobody deletes it before this transaction ends."""
    query = select(Video).where(Video.id == video_id, Video.user_id == user_id)
    if keep:
        query = query.with_for_update(read=True)
    return await session.scalar(query.execution_options(populate_existing=True))


async def find_duplicate(session: AsyncSession, user_id: UserId, sha256: str) -> Video | None:
    """The user's newest checked source with this content, which nobody deletes before this transaction ends. The hash
    compared is ours, not a declared one."""
    return await session.scalar(
        select(Video)
        .where(
            Video.user_id == user_id,
            Video.verified_sha256 == sha256,
            Video.role == VideoRole.SOURCE,
            Video.state == VideoState.READY,
        )
        .order_by(Video.id.desc())
        .limit(1)
        .with_for_update(read=True)
    )


async def list_results(session: AsyncSession, user_id: UserId, page: Page) -> Rows[Video]:
    query = select(Video).where(
        Video.user_id == user_id, Video.role == VideoRole.RESULT, Video.state != VideoState.DELETED
    )
    return await pages.fetch(session, query, Video.id, page, "vid")


async def mark_uploaded(session: AsyncSession, video_id: VideoId) -> None:
    """The client announces the upload; a repeat after the check changes nothing."""
    await session.execute(
        update(Video)
        .where(Video.id == video_id, Video.state == VideoState.PENDING)
        .values(state=VideoState.UPLOADED)
    )


async def mark_ready(session: AsyncSession, video_id: VideoId, info: MediaInfo, source: Artifact) -> None:
    """Checked: `info` and `source` are what we measured. From here `object_key` is the checked object's."""
    await session.execute(
        update(Video)
        .where(Video.id == video_id, Video.state != VideoState.DELETED)
        .values(
            state=VideoState.READY,
            info=info,
            verified_sha256=source.sha256,
            bytes=source.bytes,
            object_key=source.key,
            content_type=source.content_type,
            rejected_code=None,
        )
    )


async def mark_rejected(session: AsyncSession, video_id: VideoId, code: str) -> None:
    """Never takes back a READY: another job has already checked the same object."""
    await session.execute(
        update(Video)
        .where(Video.id == video_id, Video.state.in_([VideoState.PENDING, VideoState.UPLOADED]))
        .values(state=VideoState.REJECTED, rejected_code=code)
    )


async def mark_deleted(session: AsyncSession, video_id: VideoId) -> None:
    await session.execute(
        update(Video)
        .where(Video.id == video_id, Video.state != VideoState.DELETED)
        .values(state=VideoState.DELETED, deleted_at=func.now())
    )
    # With it goes the result that it is, and what was found out about it.
    its_own = Result.job_id.in_(
        select(Video.job_id).where(Video.id == video_id, Video.role == VideoRole.RESULT)
    )
    kept_with_it = Result.expires_at.is_(None) & Result.job_id.in_(
        select(Job.id).where(Job.video_id == video_id)
    )
    await session.execute(
        update(Result)
        .where(Result.deleted_at.is_(None), its_own | kept_with_it)
        .values(deleted_at=func.now())
    )


async def add_result(
    session: AsyncSession,
    *,
    job_id: JobId,
    user_id: UserId,
    filename: str,
    outcome: PipelineResult,
    kept: timedelta,
) -> Video:
    """A job's result that is a video, in the transaction that captures its price; only db/settlement.py calls this."""
    video = Video(
        id=VideoId(new_id("vid")),
        user_id=user_id,
        role=VideoRole.RESULT,
        state=VideoState.READY,
        object_key=outcome.result.key,
        filename=filename,
        content_type=outcome.result.content_type,
        bytes=outcome.result.bytes,
        verified_sha256=outcome.result.sha256,
        info=outcome.info,
        job_id=job_id,
        manifest_key=outcome.manifest.key,
        thumbnails=outcome.thumbnails,
        expires_at=func.now() + kept,
    )
    session.add(video)
    await session.flush()
    return video
