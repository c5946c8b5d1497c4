"""Reconciliation: daily by a schedule, and whenever finance asks."""

from __future__ import annotations

from temporalio import workflow

from contracts.finance import ReconcileReport, ReconcileRequest
from workflows import steps


@workflow.defn(name="Reconcile")
class ReconcileWorkflow:
    @workflow.run
    async def run(self, request: ReconcileRequest | None = None) -> ReconcileReport:
        report = await steps.reconcile(request or ReconcileRequest())
        found = ", ".join(f"{kind} {number}" for kind, number in sorted(report.by_kind.items()))
        workflow.set_current_details(
            f"### {report.reconciliation_id}\n\n"
            f"**차이:** {report.differences}\n**Differences:** {report.differences}\n\n{found}"
        )
        return report
