"""What the step of the `music` pipeline is given."""

from __future__ import annotations

from contracts.base import Contract
from contracts.ids import JobId, VideoId
from contracts.media import Artifact, MediaInfo


class AnalyseRequest(Contract):
    """Returns a `contracts.kinds.music.Analysis`."""

    job_id: JobId
    video_id: VideoId
    source: Artifact
    info: MediaInfo
