"""Sweep: jobs that the database calls active but that no workflow takes care of.

Two causes: the API died between its commit and starting the workflow (then it is started), or an operator
terminated the workflow, which runs no code (then the hold is released). A job without any workflow is started at
whatever age, so that even the loss of Temporal's own database costs no credit: the saga begins again and finds
its hold and its finished segments.
"""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from temporalio import activity
from temporalio.client import WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from activities.metrics import JOBS_SWEPT
from activities.rooms import Rooms, origin
from contracts.errors import Code
from contracts.ids import JobId, job_workflow_id
from contracts.jobs import JobStatus
from contracts.maintenance import SweepReport, SweepRequest
from contracts.video_job import JobInput, Release
from db import jobs, settlement

BATCH = 500
"""Jobs per page; each costs one call to Temporal."""


class SweepActivities:
    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms

    @activity.defn(name="sweep")
    async def sweep(self, request: SweepRequest) -> SweepReport:
        before = datetime.now(UTC) - timedelta(seconds=self._rooms.settings.sweep_grace_s)
        examined = started = settled = 0
        after: JobId | None = None
        while True:
            async with self._rooms.database.read() as session:
                rows = await jobs.active_created_before(session, before, after=after, limit=BATCH)
            inputs = [jobs.job_input(job, video, self._rooms.settings.deadlines) for job, video in rows]
            for job in inputs:
                activity.heartbeat(job.job_id)
                status = await self._workflow_status(job.job_id)
                if status is None:
                    started += await self._rooms.start_job(job)
                elif status is not WorkflowExecutionStatus.RUNNING:
                    settled += await self._settle(job, status)
            examined += len(inputs)
            if len(inputs) < BATCH:
                JOBS_SWEPT.labels("started").inc(started)
                JOBS_SWEPT.labels("settled").inc(settled)
                return SweepReport(examined=examined, started=started, settled=settled)
            after = inputs[-1].job_id

    async def _workflow_status(self, job_id: JobId) -> WorkflowExecutionStatus | None:
        """Of the latest run: after a reset the old run is terminated while the new one works on."""
        try:
            found = await self._rooms.temporal.get_workflow_handle(job_workflow_id(job_id)).describe()
        except RPCError as error:
            if error.status == RPCStatusCode.NOT_FOUND:
                return None
            raise
        return found.status

    async def _settle(self, job: JobInput, status: WorkflowExecutionStatus) -> bool:
        release = Release(
            job_id=job.job_id,
            status=JobStatus.FAILED,
            failure_code=Code.WORKFLOW_TERMINATED,
            detail=f"workflow {status.name.lower()}",
            actor="system:Sweep",
        )
        async with self._rooms.database.transaction() as session:
            before = await settlement.settled(session, job.job_id)
            await settlement.release_job(
                session, release, origin(job.job_id, reason=Code.WORKFLOW_TERMINATED)
            )
        return before is None
