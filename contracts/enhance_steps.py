"""What the steps of the `enhance` pipeline are given and return."""

from __future__ import annotations

from contracts.base import Contract
from contracts.ids import JobId
from contracts.kinds.enhance import EnhanceParams, EnhancePlan, SegmentResult, SegmentSpec
from contracts.media import Artifact, MediaInfo


class PlanRequest(Contract):
    job_id: JobId
    source: Artifact
    info: MediaInfo
    params: EnhanceParams


class SegmentRequest(Contract):
    """Everything one worker needs for one segment; `plan` carries no segments and `info` no sound, which would repeat N
    times."""

    job_id: JobId
    source: Artifact
    info: MediaInfo
    params: EnhanceParams
    plan: EnhancePlan
    segment: SegmentSpec
    segments_total: int


class MuxRequest(Contract):
    """Join, verify, thumbnails, manifest: one step, since all work on the same local file."""

    job_id: JobId
    source: Artifact
    info: MediaInfo
    params: EnhanceParams
    plan: EnhancePlan
    segments: tuple[SegmentResult, ...]
