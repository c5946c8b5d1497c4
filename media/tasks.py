"""What an engine process can be asked to do: task name -> argument contract and function.

Functions import their engines when they run, so a child that only probes never loads a neural network. Engines in
rooms of their own (`media/clips`, `media/music`) bring a table of their own, which is joined to this one.
Paths travel as text: arguments cross a process boundary as JSON.
"""

from __future__ import annotations

from pathlib import Path

from contracts.base import Contract
from contracts.kinds.enhance import EnhanceParams, EnhancePlan, SegmentSpec, SegmentStats
from contracts.media import MediaInfo, MediaLimits, Picture, Verification
from media.clips.tasks import TASKS as CLIPS
from media.music.tasks import TASKS as MUSIC
from media.progress import Progress
from media.task import Task


class ProbeTask(Contract):
    path: str
    limits: MediaLimits = MediaLimits()
    declared_type: str | None = None


class PlanTask(Contract):
    path: str
    info: MediaInfo
    params: EnhanceParams


class SegmentTask(Contract):
    source: str
    info: MediaInfo
    plan: EnhancePlan
    segment: SegmentSpec
    params: EnhanceParams
    out: str


class MuxTask(Contract):
    source: str
    source_info: MediaInfo
    segments: tuple[str, ...]
    plan: EnhancePlan
    out: str


class VerifyTask(Contract):
    result: str
    source_info: MediaInfo
    plan: EnhancePlan


class Verified(Contract):
    info: MediaInfo
    verification: Verification


class ThumbnailsTask(Contract):
    video: str
    info: MediaInfo
    out_dir: str


class Files(Contract):
    """Paths of the files that a task has written, complete and synced."""

    paths: tuple[str, ...]


class Pictures(Contract):
    """Three thumbnails, at 10, 50 and 90 %."""

    pictures: tuple[Picture, ...]


def _probe(task: ProbeTask, progress: Progress) -> Contract:
    from media.probe import probe

    return probe(Path(task.path), task.limits, declared_type=task.declared_type, progress=progress)


def _plan(task: PlanTask, progress: Progress) -> Contract:
    from media.plan import plan_enhance

    return plan_enhance(Path(task.path), task.info, task.params, progress)


def _segment(task: SegmentTask, progress: Progress) -> Contract:
    from media.segment import enhance_segment

    return enhance_segment(
        Path(task.source), task.info, task.plan, task.segment, task.params, Path(task.out), progress
    )


def _mux(task: MuxTask, progress: Progress) -> Contract:
    from media.mux import mux

    segments = [Path(segment) for segment in task.segments]
    mux(Path(task.source), task.source_info, segments, task.plan, Path(task.out), progress)
    return Files(paths=(task.out,))


def _verify(task: VerifyTask, progress: Progress) -> Contract:
    from media.verify import verify

    info, verification = verify(Path(task.result), task.source_info, task.plan, progress)
    return Verified(info=info, verification=verification)


def _thumbnails(task: ThumbnailsTask, progress: Progress) -> Contract:
    from media.thumbnails import thumbnails

    return Pictures(pictures=tuple(thumbnails(Path(task.video), task.info, Path(task.out_dir))))


TASKS: dict[str, Task] = {
    "probe": Task(ProbeTask, MediaInfo, _probe),
    "plan": Task(PlanTask, EnhancePlan, _plan),
    "segment": Task(SegmentTask, SegmentStats, _segment),
    "mux": Task(MuxTask, Files, _mux),
    "verify": Task(VerifyTask, Verified, _verify),
    "thumbnails": Task(ThumbnailsTask, Pictures, _thumbnails),
    **CLIPS,
    **MUSIC,
}
