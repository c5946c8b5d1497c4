"""Sweep: jobs that the database calls active but that no workflow takes care of.

Two causes: the API died between its commit and starting the workflow (then it is started), or an operator
terminated the workflow, which runs no code (then the hold is released). A job without any workflow is started at
whatever age, so that even the loss of Temporal's own database costs no credit: the saga begins again and finds
its hold and its finished segments.
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from enum import Enum, auto

from temporalio import activity
from temporalio.client import WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from activities.faults import as_echo_error
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


ENDED = frozenset(WorkflowExecutionStatus) - {
    WorkflowExecutionStatus.RUNNING,
    WorkflowExecutionStatus.CONTINUED_AS_NEW,
}
"""Any other status, also one that a newer server invents, is a workflow that still cares for its job."""


class Swept(Enum):
    LEFT = auto()
    STARTED = auto()
    SETTLED = auto()
    FAILED = auto()


class SweepActivities:
    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms

    @activity.defn(name="sweep")
    async def sweep(self, request: SweepRequest) -> SweepReport:
        before = datetime.now(UTC) - timedelta(seconds=self._rooms.settings.sweep_grace_s)
        done: Counter[Swept] = Counter()
        after: JobId | None = None
        while True:
            async with self._rooms.database.read() as session:
                rows = await jobs.active_created_before(session, before, after=after, limit=BATCH)
            inputs = [jobs.job_input(job, video, self._rooms.settings.deadlines) for job, video in rows]
            for job in inputs:
                activity.heartbeat(job.job_id)
                swept = await self._sweep(job)
                done[swept] += 1
                if swept is not Swept.LEFT:
                    JOBS_SWEPT.labels(swept.name.lower()).inc()
            if len(inputs) < BATCH:
                return SweepReport(
                    examined=done.total(),
                    started=done[Swept.STARTED],
                    settled=done[Swept.SETTLED],
                    failed=done[Swept.FAILED],
                )
            after = inputs[-1].job_id

    async def _sweep(self, job: JobInput) -> Swept:
        try:
            status = await self._workflow_status(job.job_id)
            if status is None:
                return Swept.STARTED if await self._rooms.starter.start_job(job) else Swept.LEFT
            if status in ENDED:
                return Swept.SETTLED if await self._settle(job, status) else Swept.LEFT
        except Exception as failure:
            # One job that cannot be helped must not keep all later ones from being helped.
            activity.logger.error("job %s not swept: %s", job.job_id, as_echo_error(failure))
            return Swept.FAILED
        return Swept.LEFT

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
