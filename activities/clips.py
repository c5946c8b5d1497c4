"""Steps of the `clip` pipeline: which ranges are meant, each cut, and the list of what was made.

A clip that is finished is in the store under its own hash, and a record of it in the job's work folder: whoever is
asked for it again answers with that record.
"""

from __future__ import annotations

import asyncio
import hashlib
from pathlib import Path

from temporalio import activity

from activities.files import local_copy, scratch_folder
from activities.reporting import Reporter, from_thread
from activities.rooms import Rooms
from contracts.clip_steps import Choice, Choices, ChooseRequest, ClipsFinish, CutRequest
from contracts.errors import Code, EchoError
from contracts.kinds import CLIP
from contracts.kinds.clip import SIZE_CAPS, ClipFailed, ClipFile, ClipMade, Clips, ClipSpec, Cut
from contracts.kinds.music import Music
from contracts.kinds.sections import type_within, with_sections
from contracts.media import Artifact
from contracts.timing import ENGINE_STALL
from contracts.video_job import PipelineResult
from db import music as analyses
from db import progress
from media.clips import ranges
from media.clips.tasks import ClipTask
from media.manifest import sha256_file
from storage import keys

STAGE = "cut"
UNITS = 100
"""Of progress, for each clip."""
FADE_S = 0.25
"""At both ends: heard and seen as soft, and too short to hide a beat."""


class ClipActivities:
    """On transfer workers."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms

    @activity.defn(name="choose_clips")
    async def choose(self, request: ChooseRequest) -> Choices:
        reporter = Reporter(self._rooms.database, request.job_id)
        return await reporter.run(self._choose(request, reporter))

    async def _choose(self, request: ChooseRequest, reporter: Reporter) -> Choices:
        music = await self._music(request)
        wants_music = any(spec.length is not None for spec in request.params.clips)
        if wants_music and music is None and request.no_music is None:
            return Choices(analysis_needed=True)
        choices: list[Choice] = []
        failed: list[ClipFailed] = []
        for position, spec in enumerate(request.params.clips):
            try:
                choices.append(_choice(position, spec, music, request))
            except EchoError as error:
                failed.append(ClipFailed(position=position, code=error.code, fields=error.fields))
        totals = dict.fromkeys(CLIP.stages, UNITS) | {STAGE: UNITS * max(1, len(choices))}
        async with self._rooms.database.transaction() as session:
            await progress.declare_stages(session, request.job_id, totals)
        await reporter.finish("analyse")
        return Choices(choices=tuple(choices), failed=tuple(failed))

    async def _music(self, request: ChooseRequest) -> Music | None:
        """As its owner sees it: with the sections that they have edited."""
        async with self._rooms.database.read() as session:
            known = await analyses.latest(session, request.video_id)
        if known is not None:
            analysis, sections = known
        elif request.analysis is not None:
            analysis, sections = request.analysis, request.analysis.summary.sections
        else:
            return None
        music = await asyncio.to_thread(self._rooms.store.get_json, analysis.music.key, Music)
        return with_sections(music, sections)

    @activity.defn(name="cut_clip")
    async def cut(self, request: CutRequest) -> ClipMade:
        """Raises CLIP_TOO_LARGE, RANGE_OUTSIDE, CORRUPT."""
        reporter = Reporter(self._rooms.database, request.job_id, part=request.choice.position)
        return await reporter.run(self._cut(request, reporter))

    async def _cut(self, request: CutRequest, reporter: Reporter) -> ClipMade:
        rooms, choice = self._rooms, request.choice
        record = keys.clip_record_key(request.job_id, fingerprint(choice))
        if finished := await self._finished(record):
            reporter(STAGE, UNITS, UNITS)
            return finished
        with scratch_folder(rooms.settings) as folder:
            async with from_thread() as beat, local_copy(rooms.cache, request.source, beat) as source:
                task = ClipTask(source=str(source), info=request.info, cut=choice.cut, out_dir=str(folder))
                file = await rooms.engines.run(
                    "clip",
                    task,
                    on_progress=lambda _, done, total: reporter(
                        STAGE, (UNITS - 5) * done // max(1, total), UNITS
                    ),
                    stall_s=ENGINE_STALL.total_seconds(),
                )
            assert isinstance(file, ClipFile)
            made = await self._publish(request, file)
        # The record comes last: a clip without one is not finished and will be made again.
        await asyncio.to_thread(rooms.store.put_json, record, made)
        reporter(STAGE, UNITS, UNITS)
        return made

    async def _finished(self, record: str) -> ClipMade | None:
        """None also when a file that the record speaks of is gone: then all are made again."""
        store = self._rooms.store
        if await asyncio.to_thread(store.head, record) is None:
            return None
        made = await asyncio.to_thread(store.get_json, record, ClipMade)
        files = (made.video, made.preview, made.poster)
        heads = [await asyncio.to_thread(store.head, file.key) for file in files]
        return made if all(heads) else None

    async def _publish(self, request: CutRequest, file: ClipFile) -> ClipMade:
        choice, digest, put = request.choice, file.info.sha256, self._rooms.store.put_file
        async with from_thread() as beat:

            async def store(path: str, content_type: str) -> Artifact:
                key = keys.clip_key(request.job_id, choice.position, digest, Path(path).name)
                return await asyncio.to_thread(
                    put, Path(path), key, content_type, if_absent=True, progress=beat
                )

            return ClipMade(
                position=choice.position,
                type=choice.type,
                format=choice.cut.format,
                video=await store(file.video, "video/mp4"),
                preview=await store(file.preview, "image/webp"),
                poster=await store(file.poster, "image/jpeg"),
                **{
                    name: getattr(file, name)
                    for name in ("start_s", "end_s", "width", "height", "copied", "info", "verification")
                },
            )

    @activity.defn(name="finish_clips")
    async def finish(self, request: ClipsFinish) -> PipelineResult:
        """Writes the list of what was made, which is the job's result and its manifest in one."""
        reporter = Reporter(self._rooms.database, request.job_id)
        return await reporter.run(self._finish(request, reporter))

    async def _finish(self, request: ClipsFinish, reporter: Reporter) -> PipelineResult:
        clips = Clips(made=request.made, failed=request.failed, analysis=request.analysis)
        with scratch_folder(self._rooms.settings) as folder:
            path = folder / "clips.json"
            path.write_text(clips.model_dump_json(indent=2))
            _, digest = await asyncio.to_thread(sha256_file, path)
            key = keys.result_file_key(request.job_id, digest, "clips.json")
            async with from_thread() as beat:
                listed = await asyncio.to_thread(
                    self._rooms.store.put_file, path, key, "application/json", if_absent=True, progress=beat
                )
        await reporter.finish(STAGE, saga_step=STAGE)
        return PipelineResult(
            result=listed, manifest=listed, product=clips.model_dump(mode="json"), credits=request.credits
        )


def fingerprint(choice: Choice) -> str:
    """Of everything that decides what the clip shows."""
    return hashlib.sha256(choice.model_dump_json().encode()).hexdigest()


def _choice(position: int, spec: ClipSpec, music: Music | None, request: ChooseRequest) -> Choice:
    if spec.length is not None and music is None:
        assert request.no_music is not None
        raise EchoError(Code(request.no_music))
    start_s, end_s = ranges.chosen(spec, music, float(request.info.picture.duration_s))
    bytes_max = spec.bytes_max or SIZE_CAPS.get(spec.format)
    cut = Cut(start_s=start_s, end_s=end_s, format=spec.format, bytes_max=bytes_max, fade_s=FADE_S)
    return Choice(position=position, type=music and type_within(music.sections, start_s, end_s), cut=cut)
