"""Which clips a caller may see: their own that are not deleted."""

from __future__ import annotations

from sqlalchemy.ext.asyncio import AsyncSession

from api.auth import Caller
from contracts.errors import Code, EchoError
from contracts.ids import ClipId
from contracts.kinds.clip import ClipMade
from db.clips import get_clip
from db.tables_clips import Clip, ClipState


async def own_clip(session: AsyncSession, clip_id: str, caller: Caller, *, lock: bool = False) -> Clip:
    clip = await get_clip(session, caller.user_id, ClipId(clip_id), lock=lock)
    if clip is None:
        raise EchoError(Code.NOT_FOUND, f"no clip {clip_id}")
    return clip


def made_of(clip: Clip) -> ClipMade:
    """The files of a clip that is ready."""
    if clip.state is ClipState.PENDING:
        raise EchoError(Code.RESULT_NOT_READY, f"clip {clip.id}", {"job_id": clip.job_id})
    if clip.made is None:
        raise EchoError(Code.JOB_STATE_CONFLICT, f"clip {clip.id}", {"failure": clip.failure_code or ""})
    return clip.made


def clip_name(filename: str, made: ClipMade) -> str:
    """Of a download: the source's name, and where in it the clip begins."""
    minutes, seconds = divmod(int(made.start_s), 60)
    return f"{filename.rpartition('.')[0] or filename}-{minutes:02d}m{seconds:02d}s-{made.format}.mp4"
