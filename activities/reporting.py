"""Progress of a running step: to Temporal as heartbeats, to the job's owner as events, and back as a fence.

An engine that reports is alive, so each report is a heartbeat; no timer beats on its behalf. The owner sees the
latest numbers a few times per second. When the job has been settled meanwhile (cancelled, swept, or this is an
old attempt beside a newer one), the work is stopped: its outcome could not be used.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from temporalio import activity

from activities.faults import as_echo_error
from activities.metrics import UNITS_DONE
from activities.rooms import origin
from contracts.errors import Code, EchoError
from contracts.ids import JobId
from contracts.jobs import JobStatus
from contracts.video_job import StatusChange
from db import jobs, progress, saga_log
from db.engine import Database

T = TypeVar("T")

FLUSH_INTERVAL_S = 0.4
"""Live progress is promised to clients within a second."""


class Reporter:
    """Collects reports of one step; used as the `on_progress` of engines and transfers."""

    def __init__(
        self, database: Database, job_id: JobId, *, part: int = 0, status: JobStatus = JobStatus.RUNNING
    ) -> None:
        """`part` tells the segments of one stage apart; `status` is what the job becomes by starting this step."""
        self._database = database
        self._job_id = job_id
        self._part = part
        self._status = status
        self._latest: dict[str, tuple[int, int]] = {}
        self._news = asyncio.Event()

    def __call__(self, stage: str, done: int, total: int) -> None:
        activity.heartbeat(stage, done, total)
        before, _ = self._latest.get(stage, (0, 0))
        UNITS_DONE.labels(stage).inc(max(0, done - before))
        if self._latest.get(stage) != (done, total):
            self._latest[stage] = (done, total)
            self._news.set()

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        """Awaits `work` while telling of its progress. Raises JOB_SETTLED when the job has ended meanwhile."""
        try:
            await self._begin()
        except BaseException:
            work.close()
            raise
        working = asyncio.create_task(work)
        telling = asyncio.create_task(self._tell())
        try:
            await asyncio.wait((working, telling), return_when=asyncio.FIRST_COMPLETED)
            if working.done():
                await self.flush()
                return working.result()
            raise EchoError(Code.JOB_SETTLED, "the job ended while this step was running")
        finally:
            telling.cancel()
            working.cancel()
            await asyncio.gather(working, telling, return_exceptions=True)

    async def finish(self, *stages: str, saga_step: str | None = None) -> None:
        """These stages are complete, whatever rounding left of them; `saga_step` is the step that ends with them."""
        async with self._database.transaction() as session:
            for stage in stages:
                await progress.finish_stage(session, self._job_id, stage)
            job = await jobs.lock_job(session, self._job_id)
            if saga_step is not None and not job.status.settled:
                await saga_log.append(session, job.id, saga_step, "done", origin(job.id), key=saga_step)

    async def _begin(self) -> None:
        async with self._database.transaction() as session:
            job = await jobs.get_job(session, self._job_id)
            if job is None or job.status.settled:
                raise EchoError(Code.JOB_SETTLED, "the job had ended before this step began")
            await jobs.set_status(session, StatusChange(job_id=self._job_id, status=self._status))

    async def _tell(self) -> None:
        """Returns only when the job has been settled."""
        while True:
            await self._news.wait()
            if not await self.flush():
                return
            await asyncio.sleep(FLUSH_INTERVAL_S)

    async def flush(self) -> bool:
        """Writes the latest numbers. False when the job is settled and takes no more."""
        self._news.clear()
        try:
            async with self._database.transaction() as session:
                for stage, (done, total) in list(self._latest.items()):  # engines report meanwhile
                    if not await progress.report(session, self._job_id, stage, self._part, done, total):
                        return False
        except Exception as failure:
            # A database that is away must not cost hours of pixels: the numbers are told again later.
            activity.logger.warning("progress not recorded: %s", as_echo_error(failure))
            self._news.set()
        return True


@asynccontextmanager
async def from_thread(
    told: Callable[[int, int], None] | None = None,
) -> AsyncIterator[Callable[[int, int], None]]:
    """A progress callback for blocking transfers in other threads: `told`, else a heartbeat, on the event loop.

    Once the block has been left, by cancellation for example, the callback raises and so ends the transfer.
    """
    loop, ended = asyncio.get_running_loop(), False

    def progress(done: int, total: int) -> None:
        if ended:
            raise EchoError(Code.UNAVAILABLE, "the step was stopped")
        loop.call_soon_threadsafe(told or activity.heartbeat, done, total)

    try:
        yield progress
    finally:
        ended = True
