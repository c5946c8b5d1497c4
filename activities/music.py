"""The step of the `music` pipeline: from a local copy of the source to an analysis in the store."""

from __future__ import annotations

import asyncio
from pathlib import Path

from temporalio import activity

from activities.files import local_copy, scratch_folder
from activities.reporting import Reporter, from_thread
from activities.rooms import Rooms
from contracts.kinds.music import Analysis, Music
from contracts.music_steps import AnalyseRequest
from contracts.timing import ENGINE_STALL
from media.clips.tasks import Strip, StripTask
from media.manifest import sha256_file
from media.music.tasks import MusicTask
from storage import keys

STAGE = "analyse"
UNITS = {"listen": (0, 85), "structure": (85, 10)}
"""Of a hundred: where each phase of the engine begins, and its share. The rest is storing."""


class MusicActivities:
    """On transfer workers: one core for seconds, and no neural network."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms

    @activity.defn(name="analyse_music")
    async def analyse(self, request: AnalyseRequest) -> Analysis:
        """Raises NO_AUDIO, SILENT, NO_MUSIC, TOO_SHORT, CORRUPT."""
        reporter = Reporter(self._rooms.database, request.job_id)
        return await reporter.run(self._analyse(request, reporter))

    async def _analyse(self, request: AnalyseRequest, reporter: Reporter) -> Analysis:
        rooms, run = self._rooms, self._rooms.engines.run
        stall_s = ENGINE_STALL.total_seconds()

        def reached(phase: str, done: int, total: int) -> None:
            begin, share = UNITS[phase]
            reporter(STAGE, begin + share * done // max(total, 1), 100)

        with scratch_folder(rooms.settings) as folder:
            async with from_thread() as beat, local_copy(rooms.cache, request.source, beat) as source:
                task = MusicTask(path=str(source), info=request.info)
                music = await run("music", task, on_progress=reached, stall_s=stall_s)
            assert isinstance(music, Music)
            drawing = StripTask(
                energy=music.energy,
                sections=music.sections,
                duration_s=music.duration_s,
                out=str(folder / "strip.png"),
            )
            strip = await run("strip", drawing, on_progress=lambda *_: activity.heartbeat(), stall_s=stall_s)
            assert isinstance(strip, Strip)
            analysis = await self._publish(request, music, folder, Path(strip.path))
        await reporter.finish(STAGE, saga_step=STAGE)
        return analysis

    async def _publish(self, request: AnalyseRequest, music: Music, folder: Path, strip: Path) -> Analysis:
        """Both files under the hash of the findings, so that an older analysis keeps its own."""
        path = folder / "music.json"
        path.write_text(music.model_dump_json())
        _, digest = await asyncio.to_thread(sha256_file, path)
        put = self._rooms.store.put_file
        async with from_thread() as beat:
            stored = [
                await asyncio.to_thread(
                    put, file, keys.music_key(request.video_id, digest, file.name), content_type,
                    if_absent=True, progress=beat,
                )
                for file, content_type in ((path, "application/json"), (strip, "image/png"))
            ]  # fmt: skip
        return Analysis(music=stored[0], strip=stored[1], summary=music.summary())
