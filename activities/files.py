"""Local files of a step: the shared copy of its source, and a scratch folder that does not outlive it."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import psutil

from contracts.media import Artifact
from contracts.settings import Settings
from storage.cache import SourceCache

BytesProgress = Callable[[int, int], None]


def scratch_root(settings: Settings) -> Path:
    return settings.work_dir / "scratch"


def engines_root(settings: Settings) -> Path:
    """Where engine processes have their own folders, named after the worker like scratch."""
    return settings.work_dir / "engines"


@contextmanager
def scratch_folder(settings: Settings) -> Iterator[Path]:
    root = scratch_root(settings)
    root.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{os.getpid()}-", dir=root))
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def remove_abandoned_scratch(settings: Settings) -> int:
    """Deletes folders whose worker has died (kill -9 runs no clean-up). Called when a worker starts.

    In a container the dead worker had the very id that this one has now.
    """
    removed = 0
    for folder in (*scratch_root(settings).glob("*-*"), *engines_root(settings).glob("*-*")):
        owner = folder.name.partition("-")[0]
        if owner.isdigit() and (int(owner) == os.getpid() or not psutil.pid_exists(int(owner))):
            shutil.rmtree(folder, ignore_errors=True)
            removed += 1
    return removed


@asynccontextmanager
async def local_copy(cache: SourceCache, source: Artifact, progress: BytesProgress) -> AsyncIterator[Path]:
    """The source as a local file, fetched once per machine and kept while the block runs."""
    held = cache.open(source, progress)
    entering = asyncio.create_task(asyncio.to_thread(held.__enter__))
    try:
        path = await asyncio.shield(entering)
    except asyncio.CancelledError:
        # The thread cannot be cancelled; once it has the lock, give that back.
        entering.add_done_callback(lambda task: task.exception() or held.__exit__(None, None, None))
        raise
    try:
        yield path
    finally:
        await asyncio.to_thread(held.__exit__, None, None, None)
