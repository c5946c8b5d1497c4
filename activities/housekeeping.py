"""Deleting files: what a settled job leaves behind at once, and by the clock what has been kept long enough."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial

from sqlalchemy.ext.asyncio import AsyncSession
from temporalio import activity

from activities.rooms import Rooms
from contracts.ids import JobId, VideoId
from contracts.maintenance import RetentionReport, RetentionRequest
from contracts.video_job import JobRef
from db import idempotency, jobs, retention, videos
from db.tables import Video, VideoState
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
        if job.result_key is None:
            prefixes.append(keys.result_prefix(job.id))
        if source is not None and source.state is VideoState.REJECTED:
            prefixes.append(keys.source_prefix(source.user_id, source.id))
        return sum([await self._delete(prefix) for prefix in prefixes])

    @activity.defn(name="retain")
    async def retain(self, request: RetentionRequest) -> RetentionReport:
        settings, deleted = self._rooms.settings, self._delete_videos
        async with self._rooms.database.transaction() as session:
            await idempotency.prune(session)
        return RetentionReport(
            results_deleted=await deleted(retention.expired_results) + await self._delete_products(),
            sources_deleted=await deleted(partial(retention.unused_sources, days=settings.upload_days)),
            work_files_deleted=await self._delete_leftovers(settings.work_file_hours),
        )

    async def _delete_videos(self, due: Callable[[AsyncSession], Awaitable[list[Video]]]) -> int:
        """All that are due, in batches; returns their number."""
        deleted = 0
        while True:
            async with self._rooms.database.read() as session:
                batch = await due(session)
            deleted += sum([await self._delete_video(video) for video in batch])
            if len(batch) < retention.BATCH:
                return deleted

    async def _delete_video(self, video: Video) -> bool:
        """False when a job has been opened on it meanwhile."""
        if video.job_id is not None:
            prefix = keys.result_prefix(video.job_id)
        else:
            prefix = keys.source_prefix(video.user_id, video.id)
        async with self._rooms.database.transaction() as session:
            if not await retention.give_up_video(session, video.id):
                return False
            await self._delete(prefix)
            await self._delete(keys.music_prefix(video.id))
        return True

    async def _delete_products(self) -> int:
        """Results that are no videos; returns their number."""
        deleted = 0
        while True:
            async with self._rooms.database.read() as session:
                batch = await retention.expired_products(session)
            for job in batch:
                async with self._rooms.database.transaction() as session:
                    await retention.give_up_product(session, job)
                    await self._delete(keys.result_prefix(job.id))
            deleted += len(batch)
            if len(batch) < retention.BATCH:
                return deleted

    async def _delete_leftovers(self, hours: int) -> int:
        """Asks the store itself what is left over: a worker thought dead may write after the clean-up."""
        work = await self._ended(keys.WORK, hours)
        unpublished = await self._ended(keys.RESULT, hours, without_result=True)
        prefixes = [*map(keys.work_prefix, work), *map(keys.result_prefix, unpublished)]
        prefixes += map(keys.music_prefix, await self._without_video(hours))
        return sum([await self._delete(prefix) for prefix in prefixes])

    async def _without_video(self, hours: int) -> list[VideoId]:
        """Videos that were deleted more than `hours` ago, and of which an analysis was written after that."""
        found = [VideoId(name) for name in await asyncio.to_thread(self._rooms.store.folders, keys.MUSIC)]
        activity.heartbeat(keys.MUSIC)
        async with self._rooms.database.read() as session:
            return sorted(await retention.deleted_before(session, found, hours=hours))

    async def _ended(self, root: str, hours: int, *, without_result: bool = False) -> list[JobId]:
        """Jobs with a folder under `root` that ended more than `hours` ago."""
        found = [JobId(name) for name in await asyncio.to_thread(self._rooms.store.folders, root)]
        activity.heartbeat(root)
        async with self._rooms.database.read() as session:
            return sorted(
                await retention.settled_before(session, found, hours=hours, without_result=without_result)
            )

    async def _delete(self, prefix: str) -> int:
        activity.heartbeat(prefix)
        return await asyncio.to_thread(self._rooms.store.delete_prefix, prefix)
