"""Local files of a step do not outlive it, whether it ends well, by a failure, a cancellation or a kill -9."""

from __future__ import annotations

import asyncio
import fcntl
import os
import subprocess
import sys
from pathlib import Path

import pytest

from activities.files import local_copy, remove_abandoned_scratch, scratch_folder
from contracts.media import Artifact
from tests.workflows.house import House, until


async def stored(house: House, folder: Path, size: int = 4 * 1024**2) -> Artifact:
    path = folder / "source"
    path.write_bytes(os.urandom(size))
    return await asyncio.to_thread(house.rooms.store.put_file, path, "raw/u/v/source", "video/mp4")


async def test_a_local_copy_is_whole_and_stays_for_the_next_step(house: House, tmp_path: Path) -> None:
    source = await stored(house, tmp_path)
    async with local_copy(house.rooms.cache, source, lambda *_: None) as path:
        assert path.read_bytes() == (tmp_path / "source").read_bytes()
    assert path.exists()


async def test_a_step_cancelled_while_it_fetches_lets_go_of_the_copy(house: House, tmp_path: Path) -> None:
    source = await stored(house, tmp_path)
    fetching, loop = asyncio.Event(), asyncio.get_running_loop()

    async def step() -> None:
        def told(done: int, total: int) -> None:
            loop.call_soon_threadsafe(fetching.set)

        async with local_copy(house.rooms.cache, source, told):
            await asyncio.Event().wait()

    running = asyncio.create_task(step())
    await fetching.wait()
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running

    async def nobody_holds_it() -> bool:
        with (house.rooms.cache.folder / f"{source.sha256}.lock").open() as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
            return (house.rooms.cache.folder / source.sha256).exists()

    await until(nobody_holds_it)
    async with local_copy(house.rooms.cache, source, lambda *_: None) as path:
        assert path.stat().st_size == source.bytes


def test_scratch_does_not_outlive_its_step(house: House) -> None:
    def step() -> None:
        with scratch_folder(house.settings) as folder:
            (folder / "segment.mp4").write_bytes(b"half")
            raise RuntimeError

    with pytest.raises(RuntimeError):
        step()
    assert list((house.settings.work_dir / "scratch").iterdir()) == []


def test_a_starting_worker_removes_the_scratch_of_dead_ones_and_keeps_that_of_the_living(
    house: House,
) -> None:
    root = house.settings.work_dir / "scratch"
    dead = subprocess.Popen([sys.executable, "-c", ""])
    dead.wait()
    living = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    for owner in (dead, living):
        (root / f"{owner.pid}-abc").mkdir(parents=True)
    assert remove_abandoned_scratch(house.settings) == 1
    assert [folder.name for folder in root.iterdir()] == [f"{living.pid}-abc"]
    living.communicate(b"\n")
