"""Which videos a caller may see: their own that are not deleted."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncSession

from api.auth import Caller
from api.links import Links
from api.videos import schemas
from contracts.errors import Code, EchoError
from contracts.ids import VideoId
from db.tables import Video, VideoRole, VideoState
from db.videos import get_video


async def own_video(session: AsyncSession, video_id: str, caller: Caller) -> Video:
    video = await get_video(session, caller.user_id, VideoId(video_id))
    if video is None or video.state is VideoState.DELETED:
        raise EchoError(Code.NOT_FOUND, f"no video {video_id}")
    return video


def video_view(video: Video, links: Links) -> schemas.Video:
    return schemas.Video(
        id=video.id,
        role=video.role.value,
        state=video.state.value,
        filename=video.filename,
        content_type=video.content_type,
        bytes=video.bytes,
        sha256=video.verified_sha256,
        info=video.info,
        job_id=video.job_id,
        created_at=video.created_at,
        expires_at=video.expires_at,
        result_url=links.job(video.job_id, "result")
        if video.role is VideoRole.RESULT and video.job_id
        else None,
    )
