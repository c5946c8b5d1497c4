"""Whether a source has what a kind of job needs: judged for a file just measured and for one that is known alike."""

from __future__ import annotations

from contracts.errors import Code, EchoError
from contracts.kinds.base import JobKind, Need
from contracts.media import MediaInfo


def judge(kind: JobKind, info: MediaInfo) -> None:
    """Raises EchoError NO_VIDEO or NO_AUDIO. Nothing is wrong with the source itself: another kind may use it."""
    if Need.PICTURE in kind.needs and info.video is None:
        raise EchoError(Code.NO_VIDEO, f"{kind.name} needs a picture")
    if Need.SOUND in kind.needs and not info.audio:
        raise EchoError(Code.NO_AUDIO, f"{kind.name} needs sound")
