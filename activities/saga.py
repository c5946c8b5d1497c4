"""The steps that move credits or change a job's state. Each is one transaction and may run any number of times."""

from __future__ import annotations

from temporalio import activity

from activities.rooms import Rooms, origin
from contracts.errors import Code, EchoError
from contracts.jobs import NEXT, JobStatus
from contracts.video_job import (
    AdjustHold,
    Complete,
    HoldOutcome,
    JobRef,
    Release,
    Settled,
    StatusChange,
)
from db import jobs, saga_log, settlement


class SagaActivities:
    def __init__(self, rooms: Rooms) -> None:
        self._database = rooms.database

    @activity.defn(name="hold")
    async def hold(self, request: JobRef) -> HoldOutcome:
        async with self._database.transaction() as session:
            return await settlement.confirm_hold(session, request.job_id, origin(request.job_id))

    @activity.defn(name="adjust_hold")
    async def adjust_hold(self, request: AdjustHold) -> HoldOutcome:
        async with self._database.transaction() as session:
            outcome = await settlement.adjust_hold(
                session, request.job_id, request.credits, origin(request.job_id, reason="measured price")
            )
            if not outcome.status.settled and not outcome.short_credits:
                await jobs.set_status(session, StatusChange(job_id=request.job_id, status=JobStatus.QUEUED))
            return outcome

    @activity.defn(name="complete")
    async def complete(self, request: Complete) -> Settled:
        async with self._database.transaction() as session:
            return await settlement.complete_job(session, request, origin(request.job_id))

    @activity.defn(name="release")
    async def release(self, request: Release) -> Settled:
        async with self._database.transaction() as session:
            return await settlement.release_job(
                session, request, origin(request.job_id, actor=request.actor, reason=request.failure_code)
            )

    @activity.defn(name="record_status")
    async def record_status(self, request: StatusChange) -> bool:
        """The job begins or ends to wait for a person; the saga log tells why, and since when. A job that has ended,
        as a run after a reset may find, waits for nobody: JOB_SETTLED."""
        async with self._database.transaction() as session:
            job = await jobs.lock_job(session, request.job_id)
            if job.status.settled:
                raise EchoError(Code.JOB_SETTLED, "the job had ended before this run")
            if request.status not in NEXT[job.status]:
                # It has been further: a run after a reset, which stands here, waits all the same.
                request = request.model_copy(update={"status": job.status})
            if not await jobs.set_status(session, request):
                return False
            await saga_log.append(
                session,
                job.id,
                "attention",
                "waiting" if request.attention else "done",
                origin(job.id, reason=request.failure_code or ""),
                key=f"attention/{job.version}",
                detail=f"{request.failure_code}: {request.detail}" if request.attention else "goes on",
            )
            return True
