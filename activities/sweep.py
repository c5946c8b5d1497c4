"""Sweep: jobs and purchases that the database calls active but that no workflow takes care of, and events of payment
providers that were written down and not passed on.

A job has lost its workflow when the API died between its commit and the start (then it is started), or when an operator
terminated the workflow, which runs no code (then the hold is released). A job without any workflow is started at
whatever age, so that even the loss of Temporal's own database costs no credit: the saga begins again and finds
its hold and its finished segments. The API may also have died between writing an upload down and telling the workflow,
which then waits for it (it is told again). A purchase is always started again: what it has done it finds in its rows
and at the provider.
"""

from __future__ import annotations

from collections import Counter
from datetime import UTC, datetime, timedelta
from enum import Enum, auto
from random import random

from temporalio import activity
from temporalio.client import WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from activities.faults import as_echo_error
from activities.metrics import JOBS_SWEPT
from activities.rooms import Rooms, origin
from contracts.errors import Code
from contracts.ids import JobId, PurchaseId, job_workflow_id
from contracts.jobs import JobStatus
from contracts.maintenance import SweepReport, SweepRequest
from contracts.payments import ProviderEvent, RefundStatus
from contracts.purchases import PurchaseInput
from contracts.timing import CARE_LOOKS
from contracts.video_job import JobInput, Release
from db import inbox, jobs, purchases, refunds, settlement
from db.tables_money import Purchase

BATCH = 500
"""Jobs per page; each costs one call to Temporal."""

ANNOUNCED_AGAIN_MAX = CARE_LOOKS[-1]
"""No rarer than the purchase looks for itself."""

ENDED = frozenset(WorkflowExecutionStatus) - {
    WorkflowExecutionStatus.RUNNING,
    WorkflowExecutionStatus.CONTINUED_AS_NEW,
}
"""Any other status, also one that a newer server invents, is a workflow that still cares for its job."""


class Swept(Enum):
    LEFT = auto()
    STARTED = auto()
    SETTLED = auto()
    TOLD = auto()
    WOKEN = auto()
    FAILED = auto()


class SweepActivities:
    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms

    @activity.defn(name="sweep")
    async def sweep(self, request: SweepRequest) -> SweepReport:
        before = datetime.now(UTC) - timedelta(seconds=self._rooms.settings.sweep_grace_s)
        delivered, undelivered = await self._deliver_events()
        # Jobs first: one that is settled here may leave a refund to be sent.
        jobs_done = await self._sweep_jobs(before)
        woken = await self._wake_purchases(before)
        return SweepReport(
            examined=jobs_done.total(),
            started=jobs_done[Swept.STARTED],
            settled=jobs_done[Swept.SETTLED],
            uploads_announced=jobs_done[Swept.TOLD],
            failed=jobs_done[Swept.FAILED] + undelivered + woken[Swept.FAILED],
            purchases_started=woken[Swept.STARTED],
            refunds_announced=woken[Swept.WOKEN],
            events_delivered=delivered,
        )

    async def _sweep_jobs(self, before: datetime) -> Counter[Swept]:
        done: Counter[Swept] = Counter()
        after: JobId | None = None
        while True:
            async with self._rooms.database.read() as session:
                rows = await jobs.active_created_before(session, before, after=after, limit=BATCH)
            for row, video in rows:
                activity.heartbeat(row.id)
                job = jobs.job_input(row, video, self._rooms.settings.deadlines)
                swept = await self._sweep(job, untold=job.uploaded and row.status is JobStatus.CREATED)
                done[swept] += 1
                if swept is not Swept.LEFT:
                    JOBS_SWEPT.labels(swept.name.lower()).inc()
            if len(rows) < BATCH:
                return done
            after = rows[-1][0].id

    async def _sweep(self, job: JobInput, *, untold: bool) -> Swept:
        """`untold`: its upload is written down, and as far as the database knows its workflow still waits for it."""
        try:
            status = await self._workflow_status(job.job_id)
            if status is None:
                return Swept.STARTED if await self._rooms.starter.start_job(job) else Swept.LEFT
            if status in ENDED:
                return Swept.SETTLED if await self._settle(job, status) else Swept.LEFT
            if untold:
                await self._rooms.starter.announce_upload(job.job_id)
                return Swept.TOLD
        except Exception as failure:
            # One job that cannot be helped must not keep all later ones from being helped.
            activity.logger.error("job %s not swept: %s", job.job_id, as_echo_error(failure))
            return Swept.FAILED
        return Swept.LEFT

    # ---- purchases --------------------------------------------------------------------------------------

    async def _wake_purchases(self, before: datetime) -> Counter[Swept]:
        done: Counter[Swept] = Counter()
        after: PurchaseId | None = None
        while True:
            async with self._rooms.database.read() as session:
                rows = await purchases.needing_workflow(session, before, after, BATCH)
            for purchase in rows:
                activity.heartbeat(purchase.id)
                try:
                    done[await self._wake(purchase)] += 1
                except Exception as failure:
                    activity.logger.error("purchase %s not swept: %s", purchase.id, as_echo_error(failure))
                    done[Swept.FAILED] += 1
            if len(rows) < BATCH:
                return done
            after = rows[-1].id

    async def _wake(self, purchase: Purchase) -> Swept:
        """A refund that is written down and not sent yet may have been announced to nobody, so it is again."""
        async with self._rooms.database.read() as session:
            written = await refunds.of_purchase(session, purchase.id)
        ages = [
            datetime.now(UTC) - each.created_at for each in written if each.status is RefundStatus.REQUESTED
        ]
        between_passes = timedelta(seconds=self._rooms.settings.sweep_interval_s)
        if any(random() < chance_of_announcing(age, between_passes) for age in ages):  # noqa: S311 - no secret
            await self._rooms.starter.announce_refund(self._input(purchase))
            return Swept.WOKEN
        return (
            Swept.STARTED if await self._rooms.starter.start_purchase(self._input(purchase)) else Swept.LEFT
        )

    async def _deliver_events(self) -> tuple[int, int]:
        """How many events were passed on, and how many could not be. The API died, or Temporal was away, between an
        event's arrival and its delivery."""
        async with self._rooms.database.read() as session:
            waiting = await inbox.undelivered(session, BATCH)
        delivered = failed = 0
        for event, purchase in waiting:
            activity.heartbeat(event.event_id)
            try:
                delivered += await self._deliver(event, purchase)
            except Exception as failure:
                activity.logger.error("event %s not delivered: %s", event.event_id, as_echo_error(failure))
                failed += 1
        return delivered, failed

    async def _deliver(self, event: ProviderEvent, purchase: Purchase | None) -> bool:
        """False when it is about no purchase of ours."""
        if purchase is not None:
            await self._rooms.starter.deliver_event(self._input(purchase), event)
        async with self._rooms.database.transaction() as session:
            outcome = "unknown" if purchase is None else "delivered"
            await inbox.mark(session, event.provider, event.event_id, outcome)
        return purchase is not None

    def _input(self, purchase: Purchase) -> PurchaseInput:
        return purchases.purchase_input(purchase, self._rooms.settings.purchase_deadlines)

    # ---- jobs -------------------------------------------------------------------------------------------

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


def chance_of_announcing(age: timedelta, between_passes: timedelta) -> float:
    """That a pass speaks of a refund so old: 1 at first, later so that it does about once in a sixteenth of its age.

    Its workflow keeps trying while the provider is away, and one run of it takes 10,000 signals only. By chance and not
    by the clock: passes that take long come at times of their own, and could miss every moment that a clock chooses.
    """
    apart = min(max(age / 16, between_passes), ANNOUNCED_AGAIN_MAX)
    return min(between_passes / apart, 1.0)
