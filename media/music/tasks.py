"""What an engine process can be asked to do about music: joined to the table in `media/tasks.py`."""

from __future__ import annotations

from pathlib import Path

from contracts.base import Contract
from contracts.kinds.music import Music
from contracts.media import MediaInfo
from media.progress import Progress
from media.task import Task


class MusicTask(Contract):
    path: str
    info: MediaInfo


def _music(task: MusicTask, progress: Progress) -> Contract:
    from media.music.analysis import analyse

    return analyse(Path(task.path), task.info.container, progress, duration_s=float(task.info.duration_s))


TASKS: dict[str, Task] = {"music": Task(MusicTask, Music, _music)}
