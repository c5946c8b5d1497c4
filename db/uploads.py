"""Multipart uploads at the object store. A row is written before the upload is used, so that none is forgotten."""

from __future__ import annotations

from sqlalchemy import Select, func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from contracts.ids import VideoId
from db.ids import new_id
from db.tables import Upload, UploadState


async def record_upload(
    session: AsyncSession, video_id: VideoId, s3_upload_id: str, part_bytes: int
) -> Upload:
    """At most one upload of a video is open: the one that is returned, which a faster twin may have recorded."""
    await session.execute(
        insert(Upload)
        .values(
            id=new_id("upl"),
            video_id=video_id,
            s3_upload_id=s3_upload_id,
            part_bytes=part_bytes,
            state=UploadState.OPEN,
        )
        .on_conflict_do_nothing(index_elements=[Upload.video_id], index_where=text("state = 'open'"))
    )
    return (await session.scalars(_open_of(video_id))).one()


async def get_open_upload(session: AsyncSession, video_id: VideoId) -> Upload | None:
    return await session.scalar(_open_of(video_id))


async def get_upload(session: AsyncSession, video_id: VideoId, upload_id: str) -> Upload | None:
    """None also for an upload of another video."""
    return await session.scalar(select(Upload).where(Upload.id == upload_id, Upload.video_id == video_id))


async def mark_completed(session: AsyncSession, upload_id: str) -> None:
    await _close(session, upload_id, UploadState.COMPLETED)


async def mark_aborted(session: AsyncSession, upload_id: str) -> None:
    await _close(session, upload_id, UploadState.ABORTED)


async def _close(session: AsyncSession, upload_id: str, state: UploadState) -> None:
    await session.execute(
        update(Upload)
        .where(Upload.id == upload_id, Upload.state == UploadState.OPEN)
        .values(state=state, closed_at=func.now())
    )


def _open_of(video_id: VideoId) -> Select[Upload]:
    return select(Upload).where(Upload.video_id == video_id, Upload.state == UploadState.OPEN)
