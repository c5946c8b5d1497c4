"""What the steps of the `music` pipeline are given and return."""

from __future__ import annotations

from contracts.base import Contract
from contracts.ids import JobId, VideoId
from contracts.kinds.music import Analysis
from contracts.media import Artifact, MediaInfo


class AnalyseRequest(Contract):
    """Returns an `Analysis`."""

    job_id: JobId
    video_id: VideoId
    source: Artifact
    info: MediaInfo


class MusicFinish(Contract):
    """Returns a `PipelineResult`."""

    job_id: JobId
    analysis: Analysis
