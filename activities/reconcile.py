"""Reconciliation: providers' statements, purchases, ledger and the sagas in Temporal, laid side by side."""

from __future__ import annotations

from collections import Counter
from collections.abc import AsyncIterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import TypeVar
from uuid import UUID

from temporalio import activity
from temporalio.client import WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from activities.rooms import Rooms, origin
from contracts.finance import Difference, DifferenceKind, Reconciled, ReconcileReport, ReconcileRequest
from contracts.ids import JobId, PurchaseId, job_workflow_id, purchase_workflow_id
from contracts.jobs import JobStatus
from contracts.payments import BalanceEntry, ProviderEvent
from db import differences, provider_statements, purchases, reconciliations, under_way

T = TypeVar("T")

BATCH = 500
"""Rows per transaction, and per heartbeat."""
CLOSING = timedelta(hours=1)
"""After its settlement a job's workflow may still tell its owner and clean up for so long."""
AHEAD = timedelta(days=1)
"""Providers count whole seconds, by their own clocks: what was paid a moment ago must be in the statement."""
STARTING = timedelta(minutes=5)
"""The sweep starts within this time what a crash has kept from starting."""

UNTOLD = frozenset(
    {
        DifferenceKind.PAYMENT_NOT_BOOKED,
        DifferenceKind.REFUND_NOT_BOOKED,
        DifferenceKind.DISPUTE_NOT_BOOKED,
        DifferenceKind.AMOUNT_DIFFERS,
    }
)
"""What a purchase books by itself once it looks; its webhook was lost, or the database is an older copy."""

ENDS: dict[JobStatus, frozenset[WorkflowExecutionStatus]] = {
    JobStatus.SUCCEEDED: frozenset({WorkflowExecutionStatus.COMPLETED}),
    JobStatus.EXPIRED: frozenset({WorkflowExecutionStatus.COMPLETED}),
    JobStatus.FAILED: frozenset({WorkflowExecutionStatus.FAILED, WorkflowExecutionStatus.TERMINATED}),
    JobStatus.CANCELED: frozenset({WorkflowExecutionStatus.CANCELED}),
}
"""How the workflow of a job that ended so may have closed. The sweeper fails the job of a terminated workflow."""


class ReconcileActivities:
    def __init__(self, rooms: Rooms) -> None:
        self._rooms = rooms

    @activity.defn(name="reconcile")
    async def reconcile(self, request: ReconcileRequest) -> ReconcileReport:
        """Fetches what providers say, compares, and writes one report. May run any number of times."""
        info = activity.info()
        report_id = request.reconciliation_id or f"rec_{UUID(info.workflow_run_id or '').hex}"
        fetched_at = datetime.now(UTC)
        since = fetched_at - timedelta(days=request.days)
        await self._fetch(since, fetched_at + AHEAD)
        async with self._rooms.database.read() as session:
            found = await differences.find(session, now=datetime.now(UTC), fetched_at=fetched_at)
            coming = await under_way.find(session, now=datetime.now(UTC), fetched_at=fetched_at)
            totals = await provider_statements.totals(session, since, fetched_at)
            jobs = await reconciliations.jobs_since(session, since)
            bought = await purchases.needing_workflow(session, fetched_at - STARTING, None, BATCH)
        for job in jobs:
            activity.heartbeat(job[0])
            found += await self._compare_job(*job)
        for purchase in bought:
            activity.heartbeat(purchase.id)
            found += await self._compare_purchase(purchase.id, purchase.created_at)
        report = Reconciled(
            reconciliation_id=report_id,
            period_from=since,
            period_to=fetched_at,
            providers=totals,
            jobs_compared=len(jobs),
            differences=tuple(found),
            under_way=coming,
        )
        async with self._rooms.database.transaction() as session:
            await reconciliations.record(session, report, request.requested_by, origin(""))
        await self._wake(report)
        return ReconcileReport(
            reconciliation_id=report_id,
            differences=len(found),
            by_kind=dict(Counter(difference.kind.value for difference in found)),
        )

    async def _fetch(self, since: datetime, to: datetime) -> None:
        for port in self._rooms.payments.values():
            await self._keep_all(port.entries(since, to))
            async for payouts in _batches(port.payouts(since, to)):
                activity.heartbeat(payouts[-1].payout_ref)
                async with self._rooms.database.transaction() as session:
                    await provider_statements.keep_payouts(session, payouts)
                for payout in payouts:
                    await self._keep_all(port.payout_entries(payout.payout_ref))

    async def _keep_all(self, entries: AsyncIterator[BalanceEntry]) -> None:
        async for batch in _batches(entries):
            activity.heartbeat(batch[-1].entry_id)
            async with self._rooms.database.transaction() as session:
                await provider_statements.keep_entries(session, batch)

    async def _wake(self, report: Reconciled) -> None:
        """Purchases of which the provider has told nobody: they look for themselves, as after an event."""
        untold = {d.purchase_id: d for d in report.differences if d.kind in UNTOLD and d.purchase_id}
        for purchase_id, difference in untold.items():
            activity.heartbeat(purchase_id)
            async with self._rooms.database.read() as session:
                purchase = await purchases.get(session, PurchaseId(purchase_id))
            assert purchase is not None, "rows of purchases are never deleted"
            event = ProviderEvent(
                provider=purchase.provider,
                event_id=f"{report.reconciliation_id}/{difference.subject}",
                type=f"reconciliation.{difference.kind}",
                occurred_at=difference.since,
                object_ref=purchase.provider_ref or "",
                purchase_id=purchase.id,
            )
            given = purchases.purchase_input(purchase, self._rooms.settings.purchase_deadlines)
            try:
                await self._rooms.starter.deliver_event(given, event)
            except RPCError as error:
                activity.logger.error("%s not told of %s: %s", purchase_id, difference.kind, error)

    async def _compare_job(
        self, job_id: str, status: JobStatus, finished_at: datetime | None, created_at: datetime
    ) -> Sequence[Difference]:
        workflow = await self._workflow_status(job_workflow_id(JobId(job_id)))
        now = datetime.now(UTC)
        running = workflow in (WorkflowExecutionStatus.RUNNING, WorkflowExecutionStatus.CONTINUED_AS_NEW)
        kind = None
        if finished_at is None:
            if not running and created_at < now - STARTING:
                kind = DifferenceKind.JOB_WITHOUT_WORKFLOW
        elif running and finished_at < now - CLOSING:
            kind = DifferenceKind.JOB_NOT_CLOSED
        elif workflow is not None and not running and workflow not in ENDS[status]:
            kind = DifferenceKind.JOB_DISAGREES
        if kind is None:
            return ()
        detail = f"the books say {status}, Temporal {workflow.name if workflow else 'knows no workflow'}"
        since = finished_at or created_at
        return (Difference(kind=kind, subject=job_id, since=since, job_id=job_id, detail=detail),)

    async def _compare_purchase(self, purchase_id: str, created_at: datetime) -> Sequence[Difference]:
        workflow = await self._workflow_status(purchase_workflow_id(PurchaseId(purchase_id)))
        if workflow in (WorkflowExecutionStatus.RUNNING, WorkflowExecutionStatus.CONTINUED_AS_NEW):
            return ()
        return (
            Difference(
                kind=DifferenceKind.PURCHASE_WITHOUT_WORKFLOW,
                subject=purchase_id,
                since=created_at,
                purchase_id=purchase_id,
                detail=f"Temporal: {workflow.name if workflow else 'no workflow'}",
            ),
        )

    async def _workflow_status(self, workflow_id: str) -> WorkflowExecutionStatus | None:
        """None when Temporal does not know it, or not any more: its histories end with their retention."""
        try:
            return (await self._rooms.temporal.get_workflow_handle(workflow_id).describe()).status
        except RPCError as error:
            if error.status == RPCStatusCode.NOT_FOUND:
                return None
            raise


async def _batches(items: AsyncIterator[T]) -> AsyncIterator[list[T]]:
    batch: list[T] = []
    async for item in items:
        batch.append(item)
        if len(batch) == BATCH:
            yield batch
            batch = []
    if batch:
        yield batch
