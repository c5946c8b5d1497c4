"""What the steps of the `clip` pipeline are given and return."""

from __future__ import annotations

from contracts.base import Contract
from contracts.ids import JobId, VideoId
from contracts.kinds.clip import ClipFailed, ClipMade, ClipParams, Cut
from contracts.kinds.music import Analysis, SectionType
from contracts.media import Artifact, MediaInfo


class ChooseRequest(Contract):
    """Which ranges the wishes mean. Sections are those of the video, as its owner has edited them, else `analysis`."""

    job_id: JobId
    video_id: VideoId
    info: MediaInfo
    params: ClipParams
    analysis: Analysis | None = None
    no_music: str | None = None
    """The code with which an analysis was refused: wishes that need one fail with it."""


class Choice(Contract):
    position: int
    type: SectionType | None
    """Of the section that fills most of the range; None when nothing is known of the music."""
    cut: Cut


class Choices(Contract):
    """Empty, with `analysis_needed`, when wishes speak of sections and the video has none yet."""

    analysis_needed: bool = False
    choices: tuple[Choice, ...] = ()
    failed: tuple[ClipFailed, ...] = ()


class CutRequest(Contract):
    """Returns a `ClipMade`."""

    job_id: JobId
    source: Artifact
    info: MediaInfo
    choice: Choice
    choices_total: int


class ClipsFinish(Contract):
    """Returns a `PipelineResult`."""

    job_id: JobId
    made: tuple[ClipMade, ...]
    failed: tuple[ClipFailed, ...]
    analysis: Analysis | None = None
    credits: int
    """Earned: those of the clips that were made."""
