"""Ingest: from an upload that a client claims to have made to a checked, measured and priced source."""

from __future__ import annotations

import asyncio
from pathlib import Path

from temporalio import activity

from activities.files import scratch_folder
from activities.reporting import Reporter, from_thread
from activities.rooms import Rooms
from contracts.errors import Code, EchoError
from contracts.jobs import JobStatus
from contracts.kinds import KINDS, needs
from contracts.media import Artifact, MediaInfo
from contracts.pricing import Quote
from contracts.timing import ENGINE_STALL
from contracts.video_job import Ingested, JobInput
from db import jobs, progress, videos
from db.tables import Video, VideoState
from media.tasks import ProbeTask

STAGE = "ingest"
HUNDREDTHS = 100
"""The unit of a stage until its own step declares another."""


class IngestActivities:
    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms

    @activity.defn(name="ingest")
    async def ingest(self, job: JobInput) -> Ingested:
        """Raises the codes under "what is wrong with a file"; the upload is then marked rejected, unless it only lacks
        what this kind needs."""
        video, quoted = await self._open(job)
        reporter = Reporter(self._rooms.database, job.job_id, status=JobStatus.INGESTED)
        try:
            return await reporter.run(self._check(job, video, quoted, reporter))
        except EchoError as error:
            if not error.retryable and error.code is not Code.JOB_SETTLED:
                async with self._rooms.database.transaction() as session:
                    await videos.mark_rejected(session, video.id, error.code)
            raise

    async def _open(self, job: JobInput) -> tuple[Video, Quote]:
        """The source, and the price that its owner was quoted."""
        async with self._rooms.database.transaction() as session:
            quoted = (await jobs.lock_job(session, job.job_id)).quote
            video = await videos.get_video(session, job.user_id, job.video_id)
            if video is None:
                raise EchoError(Code.SOURCE_MISSING, f"no video {job.video_id}")
            totals = dict.fromkeys(KINDS[job.kind].stages, HUNDREDTHS) | {STAGE: max(1, video.bytes)}
            await progress.declare_stages(session, job.job_id, totals)
        return video, quoted

    async def _check(self, job: JobInput, video: Video, quoted: Quote, reporter: Reporter) -> Ingested:
        known = _already_checked(video)
        if known:
            info, source = known
            if await asyncio.to_thread(self._rooms.store.head, source.key) is None:
                # Otherwise its owner would be offered it as a duplicate for ever, and could not upload it again.
                async with self._rooms.database.transaction() as session:
                    await videos.mark_deleted(session, video.id)
                raise EchoError(Code.SOURCE_MISSING, source.key)
        else:
            with scratch_folder(self._rooms.settings) as folder:
                info, source = await self._fetch_and_probe(video, folder / "source", reporter)
            async with self._rooms.database.transaction() as session:
                await videos.mark_ready(session, video.id, info, source)
        needs.judge(KINDS[job.kind], info)  # only now: what does not do for this kind may do for another
        await reporter.finish(STAGE, saga_step="ingest")
        measured = KINDS[job.kind].measured(job.params, info, first=quoted)
        return Ingested(info=info, source=source, credits=measured.credits)

    async def _fetch_and_probe(
        self, video: Video, path: Path, reporter: Reporter
    ) -> tuple[MediaInfo, Artifact]:
        store, limits = self._rooms.store, self._rooms.settings.limits
        head = await asyncio.to_thread(store.head, video.object_key)
        if head is None:
            raise EchoError(Code.SOURCE_MISSING, video.object_key)
        if head.bytes != video.bytes:
            raise EchoError(Code.SIZE_MISMATCH, f"{head.bytes} bytes stored, {video.bytes} announced")

        # The last byte is not the end of the stage: the file is still to be probed.
        async with from_thread(lambda done, total: reporter(STAGE, min(done, total - 1), total)) as fetched:
            source = await asyncio.to_thread(store.get_file, video.object_key, path, progress=fetched)
        if video.sha256 and source.sha256 != video.sha256:
            raise EchoError(Code.HASH_MISMATCH, f"{source.sha256} stored, {video.sha256} announced")

        task = ProbeTask(path=str(path), limits=limits, declared_type=video.content_type)
        info = await self._rooms.engines.run(
            "probe", task, on_progress=lambda *_: activity.heartbeat(), stall_s=ENGINE_STALL.total_seconds()
        )
        assert isinstance(info, MediaInfo)
        await asyncio.to_thread(self._rooms.cache.adopt, path, source)
        return info, source


def _already_checked(video: Video) -> tuple[MediaInfo, Artifact] | None:
    if video.state is not VideoState.READY or video.info is None or video.verified_sha256 is None:
        return None
    source = Artifact(
        key=video.object_key, bytes=video.bytes, sha256=video.verified_sha256, content_type=video.content_type
    )
    return video.info, source
