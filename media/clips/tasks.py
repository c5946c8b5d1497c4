"""What an engine process can be asked to do about clips: joined to the table in `media/tasks.py`."""

from __future__ import annotations

from pathlib import Path

from contracts.base import Contract
from contracts.kinds.clip import ClipFile, Cut
from contracts.kinds.music import Section, Share
from contracts.media import MediaInfo
from media.progress import Progress
from media.task import Task


class ClipTask(Contract):
    source: str
    info: MediaInfo
    cut: Cut
    out_dir: str


class StripTask(Contract):
    energy: tuple[Share, ...]
    sections: tuple[Section, ...]
    duration_s: float
    out: str


class Strip(Contract):
    path: str


def _clip(task: ClipTask, progress: Progress) -> Contract:
    from media.clips.cut import cut_clip

    return cut_clip(Path(task.source), task.info, task.cut, Path(task.out_dir), progress)


def _strip(task: StripTask, progress: Progress) -> Contract:
    from media.clips.strip import draw_strip

    draw_strip(task.energy, task.sections, task.duration_s, Path(task.out))
    return Strip(path=task.out)


TASKS: dict[str, Task] = {
    "clip": Task(ClipTask, ClipFile, _clip),
    "strip": Task(StripTask, Strip, _strip),
}
