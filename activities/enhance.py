"""Steps of the `enhance` pipeline: thin shells around `media/`, with the store on both sides.

A segment that is finished is in the store under its fingerprint with a small record beside it. Whoever is asked
for it again, on whatever machine, after whatever crash, answers with that record.
"""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime
from pathlib import Path

from temporalio import activity

from activities.files import local_copy, scratch_folder
from activities.metrics import SEGMENT_SECONDS, SEGMENTS_REUSED
from activities.reporting import Reporter, from_thread
from activities.rooms import Rooms
from contracts.enhance_steps import MuxRequest, PlanRequest, SegmentRequest
from contracts.errors import Code, EchoError
from contracts.kinds.enhance import EnhancePlan, SegmentResult, SegmentStats
from contracts.media import Artifact, EngineUse, Manifest, Thumbnail
from contracts.timing import ENGINE_STALL
from contracts.video_job import PipelineResult
from db import progress
from media.tasks import MuxTask, Pictures, PlanTask, SegmentTask, ThumbnailsTask, Verified, VerifyTask
from storage import keys

STALL_S = ENGINE_STALL.total_seconds()
MUX_UNITS = 100
"""The mux stage counts in hundredths: 40 fetching segments, 30 joining, 20 verifying, 10 storing."""


class EnhancePlanning:
    """On transfer workers: the first and the last step of the pipeline."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms

    @activity.defn(name="plan_enhance")
    async def plan(self, request: PlanRequest) -> EnhancePlan:
        rooms = self._rooms
        async with from_thread() as beat, local_copy(rooms.cache, request.source, beat) as path:
            plan = await rooms.engines.run(
                "plan",
                PlanTask(path=str(path), info=request.info, params=request.params),
                on_progress=lambda *_: activity.heartbeat(),
                stall_s=STALL_S,
            )
        assert isinstance(plan, EnhancePlan)
        totals = {
            "ingest": request.source.bytes,
            "upscale": sum(segment.src_frames for segment in plan.segments),
            "interpolate": plan.out_frames,
            "mux": MUX_UNITS,
        }
        async with rooms.database.transaction() as session:
            await progress.declare_stages(session, request.job_id, totals)
        return plan

    @activity.defn(name="mux_enhanced")
    async def mux(self, request: MuxRequest) -> PipelineResult:
        reporter = Reporter(self._rooms.database, request.job_id)
        return await reporter.run(self._finish(request, reporter))

    async def _finish(self, request: MuxRequest, reporter: Reporter) -> PipelineResult:
        rooms, run = self._rooms, self._rooms.engines.run

        def reached(start: int, share: int, done: int, total: int) -> None:
            reporter("mux", start + share * done // max(total, 1), MUX_UNITS)

        await reporter.finish("upscale", "interpolate")
        with scratch_folder(rooms.settings) as folder:
            segments = await self._fetch_segments(request, folder, reporter)
            out = folder / "video.mp4"
            async with (
                from_thread() as beat,
                local_copy(rooms.cache, request.source, beat) as source,
            ):
                mux = MuxTask(
                    source=str(source),
                    source_info=request.info,
                    segments=tuple(str(segment) for segment in segments),
                    plan=request.plan,
                    out=str(out),
                )
                await run("mux", mux, on_progress=lambda _, d, t: reached(40, 30, d, t), stall_s=STALL_S)
            verify = VerifyTask(result=str(out), source_info=request.info, plan=request.plan)
            verified = await run(
                "verify", verify, on_progress=lambda _, d, t: reached(70, 20, d, t), stall_s=STALL_S
            )
            assert isinstance(verified, Verified)
            refuse_unverified(verified)
            stored = await self._publish(request, verified, out, folder)
        await reporter.finish("mux", saga_step="pipeline")
        return stored

    async def _fetch_segments(self, request: MuxRequest, folder: Path, reporter: Reporter) -> list[Path]:
        paths: list[Path] = []
        for segment in request.segments:
            path = folder / f"segment-{segment.index:05d}.mp4"
            await self._fetch(segment.artifact, path)
            paths.append(path)
            reporter("mux", 40 * len(paths) // len(request.segments), MUX_UNITS)
        return paths

    async def _fetch(self, segment: Artifact, path: Path) -> None:
        store = self._rooms.store
        try:
            async with from_thread() as beat:
                await asyncio.to_thread(store.get_file, segment.key, path, expect=segment, progress=beat)
        except EchoError as error:
            if error.retryable:
                raise
            # Ours, not the user's: without its record the segment is made again when support retries.
            await asyncio.to_thread(store.delete, keys.record_key(segment.key))
            await asyncio.to_thread(store.delete, segment.key)
            raise EchoError(Code.RESULT_UNVERIFIED, f"a stored segment is damaged: {error}") from error

    async def _publish(
        self, request: MuxRequest, verified: Verified, video: Path, folder: Path
    ) -> PipelineResult:
        """Stores result, thumbnails and manifest under the result's own hash.

        Two attempts that overlap (an old one is thought dead) write different folders unless their bytes
        agree, so neither can replace what the other has registered.
        """
        rooms, digest = self._rooms, verified.info.sha256
        run, put = rooms.engines.run, rooms.store.put_file
        async with from_thread() as beat:

            async def store(path: Path, key: str, content_type: str) -> Artifact:
                return await asyncio.to_thread(put, path, key, content_type, if_absent=True, progress=beat)

            result = await store(video, keys.result_key(request.job_id, digest), "video/mp4")
            task = ThumbnailsTask(video=str(video), info=verified.info, out_dir=str(folder))
            files = await run(
                "thumbnails", task, on_progress=lambda *_: activity.heartbeat(), stall_s=STALL_S
            )
            assert isinstance(files, Pictures)
            thumbnails: list[Thumbnail] = []
            for percent, made in zip((10, 50, 90), files.pictures, strict=True):
                key = keys.thumbnail_key(request.job_id, digest, percent)
                thumbnails.append(
                    Thumbnail(
                        at_percent=percent,
                        artifact=await store(Path(made.path), key, "image/jpeg"),
                        width=made.width,
                        height=made.height,
                    )
                )
            engines = distinct_engines(request.segments)
            manifest = Manifest(
                job_id=request.job_id,
                kind="enhance",
                params=request.params.model_dump(mode="json"),
                source=request.info,
                result=verified.info,
                engines=engines,
                verification=verified.verification,
                segments=len(request.segments),
                thumbnails=tuple(thumbnails),
                created_at=datetime.now(UTC).isoformat(),
            )
            path = folder / "manifest.json"
            path.write_text(manifest.model_dump_json(indent=2))
            manifest_file = await store(path, keys.manifest_key(request.job_id, digest), "application/json")
        return PipelineResult(
            result=result,
            info=verified.info,
            manifest=manifest_file,
            thumbnails=tuple(thumbnails),
            verification=verified.verification,
            engines=engines,
        )


class EnhanceSegments:
    """On GPU workers: where the time goes."""

    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms

    @activity.defn(name="enhance_segment")
    async def segment(self, request: SegmentRequest) -> SegmentResult:
        reporter = Reporter(self._rooms.database, request.job_id, part=request.segment.index)
        return await reporter.run(self._enhance(request, reporter))

    async def _enhance(self, request: SegmentRequest, reporter: Reporter) -> SegmentResult:
        rooms, segment = self._rooms, request.segment
        key = keys.segment_key(request.job_id, request.plan.fingerprint, segment.index)
        if finished := await self._finished(key):
            reporter("upscale", segment.src_frames, segment.src_frames)
            reporter("interpolate", finished.frames, finished.frames)
            SEGMENTS_REUSED.inc()
            return finished.model_copy(update={"reused": True})

        started = time.monotonic()
        with SEGMENT_SECONDS.labels(request.params.upscaler).time(), scratch_folder(rooms.settings) as folder:
            out = folder / "segment.mp4"
            async with (
                from_thread() as beat,
                local_copy(rooms.cache, request.source, beat) as source,
            ):
                task = SegmentTask(
                    source=str(source),
                    info=request.info,
                    plan=request.plan,
                    segment=segment,
                    params=request.params,
                    out=str(out),
                )
                stats = await rooms.engines.run("segment", task, on_progress=reporter, stall_s=STALL_S)
                assert isinstance(stats, SegmentStats)
                artifact = await asyncio.to_thread(
                    rooms.store.put_file, out, key, "video/mp4", if_absent=True, progress=beat
                )
        result = SegmentResult(
            index=segment.index,
            artifact=artifact,
            wall_ms=int((time.monotonic() - started) * 1000),
            # The engine's own wall time is left out: the record counts the transfers too.
            **stats.model_dump(exclude={"wall_ms"}),
        )
        # The record comes last: a segment without one is not finished and will be made again.
        await asyncio.to_thread(rooms.store.put_json, keys.record_key(key), result)
        return result

    async def _finished(self, key: str) -> SegmentResult | None:
        store = self._rooms.store
        if await asyncio.to_thread(store.head, keys.record_key(key)) is None:
            return None
        record = await asyncio.to_thread(store.get_json, keys.record_key(key), SegmentResult)
        return record if await asyncio.to_thread(store.head, record.artifact.key) else None


def refuse_unverified(verified: Verified) -> None:
    failed = [check for check in verified.verification.checks if not check.ok]
    if failed:
        detail = "; ".join(
            f"{check.name}: expected {check.expected}, found {check.found}" for check in failed
        )
        raise EchoError(Code.RESULT_UNVERIFIED, detail)


def distinct_engines(segments: tuple[SegmentResult, ...]) -> tuple[EngineUse, ...]:
    """Every engine that touched a pixel, once, in the order of first use."""
    return tuple(dict.fromkeys(engine for segment in segments for engine in segment.engines))
