"""Deleting files: what a settled job leaves behind at once, and by the clock what has been kept long enough."""

from __future__ import annotations

import asyncio

from temporalio import activity

from activities.rooms import Rooms
from contracts.ids import JobId, VideoId
from contracts.maintenance import RetentionReport, RetentionRequest
from contracts.video_job import JobRef
from db import jobs, retention, videos
from db.tables import VideoState
from storage import keys


class HousekeepingActivities:
    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms

    @activity.defn(name="clean_up")
    async def clean_up(self, request: JobRef) -> int:
        """Deletes a settled job's work files, and an upload that was rejected. Returns the number of objects."""
        async with self._rooms.database.read() as session:
            job = await jobs.get_job(session, request.job_id)
            if job is None or not job.status.settled:
                return 0
            source = await videos.get_video(session, job.user_id, job.video_id)
        prefixes = [keys.work_prefix(job.id)]
        if job.result_video_id is None:
            prefixes.append(keys.result_prefix(job.id))
        if source is not None and source.state is VideoState.REJECTED:
            prefixes.append(keys.source_prefix(source.user_id, source.id))
        return sum([await self._delete(prefix) for prefix in prefixes])

    @activity.defn(name="retain")
    async def retain(self, request: RetentionRequest) -> RetentionReport:
        """Each object is deleted before its row says so: a crash between the two deletes it once more."""
        settings = self._rooms.settings
        async with self._rooms.database.read() as session:
            results = await retention.expired_results(session)
            sources = await retention.unused_sources(session, days=settings.upload_days)
        for video in results:
            assert video.job_id is not None, "a result has the job that made it"
            await self._delete(keys.result_prefix(video.job_id))
            await self._forget_video(video.id)
        for video in sources:
            await self._delete(keys.source_prefix(video.user_id, video.id))
            await self._forget_video(video.id)
        work = await self._delete_old_work(settings.work_file_hours)
        return RetentionReport(
            results_deleted=len(results), sources_deleted=len(sources), work_files_deleted=work
        )

    async def _delete_old_work(self, hours: int) -> int:
        """Asks the store itself what is left over: a worker thought dead may write after the clean-up."""
        found = await asyncio.to_thread(self._rooms.store.folders, keys.WORK)
        async with self._rooms.database.read() as session:
            old = await retention.settled_before(session, [JobId(name) for name in found], hours=hours)
        return sum([await self._delete(keys.work_prefix(job_id)) for job_id in sorted(old)])

    async def _forget_video(self, video_id: VideoId) -> None:
        async with self._rooms.database.transaction() as session:
            await videos.mark_deleted(session, video_id)

    async def _delete(self, prefix: str) -> int:
        activity.heartbeat(prefix)
        return await asyncio.to_thread(self._rooms.store.delete_prefix, prefix)
